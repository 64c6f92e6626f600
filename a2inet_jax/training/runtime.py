"""The process that trains: its compilations and its rate, and requests to stop."""

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from a2inet_jax.training import step

_EVENT = "/jax/core/compile/backend_compile_duration"
# `pmap` names all of its programs "_fun", including those that only copy.
_NAMES = (step.train_steps.__name__, step.score_steps.__name__, "_fun")
ShouldStop = Callable[[], bool]


@dataclass
class Compilations:
    """Seconds of each compilation of a program that trains or scores; cached programs take little."""

    seconds: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        count = len(self.seconds)
        programs = "1 program" if count == 1 else f"{count} programs"
        return f"compiled {programs} in {sum(self.seconds):.1f} s"


@contextmanager
def record_compilations() -> Iterator[Compilations]:
    """Record every compilation inside the `with` block."""
    compilations = Compilations()

    def listen(event: str, duration_secs: float, **details: str | int) -> None:
        if event == _EVENT and any(name in str(details.get("fun_name")) for name in _NAMES):
            compilations.seconds.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield compilations
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


class Rate:
    """Videos per second from the second call on, because the first one compiles."""

    def __init__(self) -> None:
        self._videos = 0
        self._since: float | None = None

    def add(self, videos: int) -> float | None:
        """Count the videos of a call that has just ended; return the rate, None after the first one."""
        if self._since is None:
            self._since = time.perf_counter()
            return None
        self._videos += videos
        return self._videos / (time.perf_counter() - self._since)


class TerminatedError(Exception):
    """The process was asked to stop, and has saved a checkpoint."""


@contextmanager
def catch_sigterm() -> Iterator[ShouldStop]:
    """Yield a function that says whether to stop.

    With several processes, all of them must call it at the same points of their work; if one of them is
    asked to stop, every process learns of it one call later. In a thread that cannot handle signals, SIGTERM
    is not caught.
    """
    received = threading.Event()
    in_main_thread = threading.current_thread() is threading.main_thread()
    previous_handler: Any = None
    if in_main_thread:
        previous_handler = signal.signal(signal.SIGTERM, lambda *_: received.set())
    try:
        yield _any_process(received.is_set) if jax.process_count() > 1 else received.is_set
    finally:
        if in_main_thread:
            signal.signal(signal.SIGTERM, previous_handler)


def _any_process(local: ShouldStop) -> ShouldStop:
    """Return a function that says whether `local` was true in any process at the call before.

    The answers of a call are only read at the next one, so no process waits for the others.
    """
    devices = jax.devices()
    mesh = Mesh(np.array(devices), "device")
    by_device = NamedSharding(mesh, PartitionSpec("device"))
    any_device = jax.jit(jnp.any, out_shardings=NamedSharding(mesh, PartitionSpec()))

    def dispatch() -> jax.Array:
        local_by_device = jax.make_array_from_callback(
            (len(devices),), by_device, lambda _: np.array([local()])
        )
        return any_device(local_by_device)

    dispatched = deque([dispatch()])

    def should_stop() -> bool:
        dispatched.append(dispatch())
        return bool(dispatched.popleft().addressable_data(0))

    return should_stop
