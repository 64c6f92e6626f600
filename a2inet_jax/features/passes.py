"""Passes of a video's frames through networks that take a fixed number of them at a time.

The one rule by which both streams end with one row a frame, whatever their networks take: single frames go
in by the chunk, clips by their length.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

# Of frames larger than this a chunk holds fewer, so that it takes no more memory.
_FULL_CHUNK_PIXELS = 1920 * 1080

# Passes in order, each with its streams.
Work = list[tuple["Pass", tuple[str, ...]]]


@dataclass(frozen=True)
class Pass:
    """One run of a network.

    Attributes:
        frames: Indices of the frames that go in, `[length]` int, ascending.
        rows: Indices of the output's rows that are kept, `[n]` int, for the next n frames of the video.
    """

    frames: np.ndarray
    rows: np.ndarray


def frames_at_once(chunk: int, height: int, width: int) -> int:
    """Return the number of frames of this size in a chunk: `chunk`, or fewer that take as much memory."""
    return max(1, chunk * _FULL_CHUNK_PIXELS // max(height * width, _FULL_CHUNK_PIXELS))


def plan(total: int, length: int, spacing: int = 1) -> list[Pass]:
    """Return passes that together give each frame of a video one row.

    A pass spans `length` · `spacing` frames and takes ⌊k (span − 1) / (length − 1)⌋, k = 0 … length − 1, of
    them; a frame in between gets the row of the one before it. Passes follow each other; what is left at the
    end is covered by a pass over the last frames of the video, of which only the rows that are still missing
    are kept. A video shorter than a pass is filled up with copies of its last frame.

    Args:
        total: Frames of the video, at least 1.
        length: Frames that go in together, at least 1.
        spacing: Distance of the frames that go in, in frames, at least 1.
    """
    span = length * spacing
    taken = np.arange(length) * (span - 1) // max(length - 1, 1)
    row_of_frame = np.searchsorted(taken, np.arange(span), side="right") - 1
    passes = []
    for done in range(0, total, span):
        start = max(min(done, total - span), 0)
        here = np.arange(done, min(done + span, total)) - start
        passes.append(Pass(np.minimum(start + taken, total - 1), row_of_frame[here]))
    return passes


def schedule(total: int, takes: Mapping[str, tuple[int, int]]) -> Work:
    """Return the passes of all streams, in the order in which their last frames are decoded.

    Streams that take the same frames share their passes: frames go to the device once.

    Args:
        total: Frames of the video.
        takes: Stream → length and spacing of its passes.
    """
    together: dict[tuple[int, int], tuple[str, ...]] = {}
    for name, each in takes.items():
        together[each] = (*together.get(each, ()), name)
    work = [(item, names) for each, names in together.items() for item in plan(total, *each)]
    return sorted(work, key=lambda entry: int(entry[0].frames[-1]))


def run_passes(
    chunks: Iterator[np.ndarray], work: Work, run: Callable[..., Mapping[str, Any]]
) -> dict[str, list[Any]]:
    """Run pass after pass as their frames arrive.

    Args:
        chunks: All frames in order, `[n, H, W, 3]` each.
        work: Result of `schedule`.
        run: Called with frames `[length, H, W, 3]` and `names`, the streams; returns for each stream a
            tree of arrays with a row a frame.

    Returns:
        For each stream the rows of its passes, on the host, in order: a row for every frame of the
        video.
    """
    window = _Window(longest(work))
    rows: dict[str, list[Any]] = {name: [] for _, names in work for name in names}
    for item, names in work:
        while window.end <= item.frames[-1]:
            window.add(next(chunks))
        for name, tree in run(window.take(item.frames), names=names).items():
            rows[name].append(jax.tree.map(partial(_take_rows, rows=item.rows), tree))
    return rows


def _take_rows(array: Any, rows: np.ndarray) -> np.ndarray:
    return np.asarray(array)[rows]


def longest(work: Work) -> int:
    """Return the most frames that must be in memory for one pass."""
    return max(int(np.ptp(item.frames)) + 1 for item, _ in work)


class _Window:
    """The latest frames of a video, as many as a pass may need."""

    def __init__(self, length: int) -> None:
        # Number of frames seen so far.
        self.end = 0
        self._length = length
        # Index of a chunk's first frame, and its frames.
        self._chunks: deque[tuple[int, np.ndarray]] = deque()

    def add(self, frames_NxHxWx3: np.ndarray) -> None:
        self._chunks.append((self.end, frames_NxHxWx3))
        self.end += len(frames_NxHxWx3)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return the frames of these indices without a copy where they are one whole chunk.

        The indices ascend, and the last one is not below that of any earlier call.
        """
        while self._chunks[0][0] + len(self._chunks[0][1]) <= indices[-1] + 1 - self._length:
            self._chunks.popleft()
        pieces = []
        for first, frames in self._chunks:
            here = indices[(indices >= first) & (indices < first + len(frames))] - first
            if np.array_equal(here, np.arange(len(frames))):
                pieces.append(frames)
            elif len(here):
                pieces.append(frames[here])
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
