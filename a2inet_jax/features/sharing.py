"""What the threads of an extraction share: a device, and the memory for frames that are under way."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Lets few threads at a time to a device: one may compute while the next one's frames are on the way.

    Attributes:
      busy_s: seconds that at least one thread was at the device, or had it compiled for.
    """

    def __init__(self, places: int = 2) -> None:
        """Nobody is there yet.

        Args:
          places: how many threads may be at the device together.
        """
        self.busy_s = 0.0
        self._places = threading.Semaphore(places)
        self._lock = threading.Lock()
        self._present = 0
        self._since = 0.0

    @contextmanager
    def take(self) -> Iterator[None]:
        """Wait for a place, and keep it within the `with` statement."""
        with self._places, self.beside():
            yield

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Count as being there within the `with` statement, without a place."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            now = time.monotonic()
            if self._present:
                self.busy_s += now - self._since
            self._present += change
            self._since = now


class Budget:
    """An amount, such as bytes, that threads share. Who needs more than there is gets all of it, alone."""

    def __init__(self, total: int) -> None:
        """All of it is free.

        Args:
          total: the amount.
        """
        self._total = total
        self._taken = 0
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def take(self, amount: int) -> Iterator[None]:
        """Wait until so much is free, first come, first served, and keep it within the `with` statement."""
        amount = min(amount, self._total)
        ticket = object()
        with self._changed:
            # In order: many small amounts would keep a large one waiting for ever.
            self._queue.append(ticket)
            self._changed.wait_for(
                lambda: self._queue[0] is ticket and self._taken + amount <= self._total
            )
            self._queue.popleft()
            self._taken += amount
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._taken -= amount
                self._changed.notify_all()


class Stopwatch:
    """Seconds that threads spent on things of a name, added up."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Count the `with` statement's duration for this name."""
        start = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._seconds[name] = self[name] + time.monotonic() - start

    def __getitem__(self, name: str) -> float:
        return self._seconds.get(name, 0.0)
