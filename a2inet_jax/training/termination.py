"""Being asked to stop: SIGTERM, as a batch system sends it before it takes the machine."""

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

Question = Callable[[], bool]


class TerminatedError(Exception):
    """The process was asked to stop, and has saved where it was."""


@contextmanager
def termination() -> Iterator[Question]:
    """Gives a function that says whether to stop.

    Several processes must call it at the same points of their work. If one has been asked to stop, the
    next call but one says so to all. In a thread that can't handle signals, nothing is noticed.
    """
    asked = threading.Event()
    noticed = threading.current_thread() is threading.main_thread()
    before: Any = None
    if noticed:
        before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield _together(asked.is_set) if jax.process_count() > 1 else asked.is_set
    finally:
        if noticed:
            signal.signal(signal.SIGTERM, before)


def _together(asked: Question) -> Question:
    """Whether any process would have said yes at the call before: so none waits for the others here."""
    devices = jax.devices()
    mesh = Mesh(np.array(devices), "device")
    everywhere = NamedSharding(mesh, PartitionSpec("device"))
    any_of = jax.jit(jnp.any, out_shardings=NamedSharding(mesh, PartitionSpec()))

    def ask() -> jax.Array:
        mine = jax.make_array_from_callback(
            (len(devices),), everywhere, lambda _: np.array([asked()])
        )
        return any_of(mine)

    under_way = deque([ask()])

    def answer() -> bool:
        under_way.append(ask())
        return bool(under_way.popleft().addressable_data(0))

    return answer
