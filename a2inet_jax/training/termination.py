"""Being asked to stop: SIGTERM, as a batch system sends it before it takes the machine."""

import itertools
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
from jax.experimental import multihost_utils

# Never set back: JAX's processes agree on the number of the call at which they stop.
_calls = itertools.count(1)


class TerminatedError(Exception):
    """The process was asked to stop, and has saved where it was."""


@contextmanager
def termination() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether to stop.

    Several processes must call it at the same points of their work. Once one has been asked to stop, all
    are told so at the same point: JAX's own watch for SIGTERM sees to that. In a thread that can't handle
    signals, nothing is noticed.
    """
    if jax.process_count() > 1:
        yield lambda: multihost_utils.reached_preemption_sync_point(next(_calls))
        return
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked = threading.Event()
    before: Any = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
