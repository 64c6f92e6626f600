"""Resources that the threads of an extraction share: a device, and memory for decoded frames."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class DeviceQueue:
    """A queue that admits few threads at a time to a device.

    With two slots one thread computes while the frames of the next one are transferred.

    Attributes:
        busy_s: Seconds during which at least one thread used the device or compiled for it.
    """

    def __init__(self, slots: int = 2) -> None:
        """Make an empty queue for so many threads at a time."""
        self.busy_s = 0.0
        self._slots = threading.Semaphore(slots)
        self._lock = threading.Lock()
        self._users = 0
        self._since = 0.0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait for a slot, and hold it within the `with` statement."""
        with self._slots, self.count_as_busy():
            yield

    @contextmanager
    def count_as_busy(self) -> Iterator[None]:
        """Count the `with` statement into `busy_s`, without a slot."""
        self._change_users(1)
        try:
            yield
        finally:
            self._change_users(-1)

    def _change_users(self, change: int) -> None:
        with self._lock:
            now = time.monotonic()
            if self._users:
                self.busy_s += now - self._since
            self._users += change
            self._since = now


class Budget:
    """An amount, such as bytes, that threads share.

    A request above the total waits until it can have all of it.
    """

    def __init__(self, total: int) -> None:
        """Make a budget of which nothing is reserved."""
        self._total = total
        self._reserved = 0
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def reserve(self, amount: int) -> Iterator[None]:
        """Wait until so much is free, first come, first served, and hold it within the `with` statement."""
        amount = min(amount, self._total)
        ticket = object()
        with self._changed:
            # Served in order, because many small requests would keep a large one waiting for ever.
            self._queue.append(ticket)
            self._changed.wait_for(
                lambda: self._queue[0] is ticket and self._reserved + amount <= self._total
            )
            self._queue.popleft()
            self._reserved += amount
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._reserved -= amount
                self._changed.notify_all()


class Stopwatch:
    """Seconds by activity, added up over threads."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def time(self, activity: str) -> Iterator[None]:
        """Add the duration of the `with` statement to an activity."""
        start = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._seconds[activity] = self[activity] + time.monotonic() - start

    def __getitem__(self, activity: str) -> float:
        return self._seconds.get(activity, 0.0)
