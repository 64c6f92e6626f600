"""Requests to stop: SIGTERM, as a batch system sends it before it reclaims the machine."""

import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

ShouldStop = Callable[[], bool]


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
