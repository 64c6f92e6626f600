"""A data set's features in memory, and the order in which an epoch's batches take them.

The arrays live on the device for the whole training. A step is sent row numbers only, and gathers the rows
inside the compiled program.
"""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import jax
import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True, eq=False)
class Features:
    """Features and labels of N videos, padded to the longest one's T frames.

    Attributes:
        ids: The videos' ids, N of them.
        streams: One `[N, T, D]` float16 array a stream (each with its own D), zero in the padding.
        mask: `[N, T]` bool, True for each video's frames.
        mos: `[N]` float64, the labels in their own scale.
    """

    ids: tuple[str, ...]
    streams: tuple[np.ndarray, ...]
    mask: np.ndarray
    mos: np.ndarray

    @classmethod
    def pack(
        cls, ids: Sequence[str], videos: Sequence[tuple[np.ndarray, ...]], mos: ArrayLike
    ) -> Self:
        """Pads the videos' streams to one length.

        Args:
            ids: N ids.
            videos: For each id its streams, each `[T_i, D]` with the same T_i; stored as float16.
            mos: N labels.

        Raises:
            ValueError: Streams of a video differ in length, a video has no frame, or the counts of
                ids, videos and labels differ.
        """
        labels = np.asarray(mos, np.float64)
        if not len(ids) == len(videos) == len(labels):
            raise ValueError(f"{len(ids)} ids, {len(videos)} videos and {len(labels)} labels")
        for video_id, video in zip(ids, videos):
            if len({len(stream) for stream in video}) != 1 or not len(video[0]):
                raise ValueError(
                    f"video {video_id}: streams of {[len(x) for x in video]} frames; "
                    "they must be as long as each other and not empty"
                )
        lengths = np.array([len(video[0]) for video in videos])
        streams = tuple(
            np.zeros((len(ids), lengths.max(), x.shape[1]), np.float16) for x in videos[0]
        )
        for n, video in enumerate(videos):
            for padded, stream in zip(streams, video):
                padded[n, : len(stream)] = stream
        return cls(tuple(ids), streams, np.arange(lengths.max()) < lengths[:, None], labels)

    def rows(self, ids: Sequence[str]) -> np.ndarray:
        """Row numbers `[n]` int32 of these videos; ValueError names those that have no features."""
        where = {video_id: n for n, video_id in enumerate(self.ids)}
        if missing := [video_id for video_id in ids if video_id not in where]:
            raise ValueError(
                f"no features of {len(missing)} videos of the split, {missing[0]} the first: "
                "extract them, or make the splits again"
            )
        return np.array([where[video_id] for video_id in ids], np.int32)

    @functools.cached_property
    def digest(self) -> str:
        """16 hex characters that change with any id, label or feature."""
        content = hashlib.sha256("\n".join(self.ids).encode())
        for array in (*self.streams, self.mask, self.mos):
            content.update(f"{array.dtype}{array.shape}".encode())
            content.update(np.ascontiguousarray(array).data)
        return content.hexdigest()[:16]


Array = jax.Array | np.ndarray


class Data(NamedTuple):
    """What lives on the device: as `Features`, with `label` `[N]` float32 scaled for training."""

    streams: tuple[Array, ...]
    mask: Array
    label: Array


class Batch(NamedTuple):
    """Rows of `Data`: streams `[B, T, D]`, mask `[B, T]`, label `[B]`; `where` `[B]` is False for fill."""

    streams: tuple[Array, ...]
    mask: Array
    label: Array
    where: Array


class Order(NamedTuple):
    """Which rows each of S batches takes.

    Attributes:
        rows: `[S, B]` int32, rows of the data; 0 where `where` is False.
        where: `[S, B]` bool, False for rows that fill a batch.
    """

    rows: np.ndarray
    where: np.ndarray


def gather(data: Data, rows: Array, where: Array) -> Batch:
    """Takes rows `[B]` of the data; `where` `[B]` goes into the batch."""
    streams = tuple(stream[rows] for stream in data.streams)
    return Batch(streams, data.mask[rows], data.label[rows], where)


def epoch_batches(
    key: Sequence[int], rows: np.ndarray, batch_size: int, width: int | None = None
) -> Order:
    """Shuffles rows into batches; a short last batch is filled and masked, none is dropped.

    Args:
        key: Non-negative numbers that the order is a function of, such as (seed, split, epoch).
        rows: `[n]` int, rows of the data.
        batch_size: Rows of a batch.
        width: Places of a batch, ≥ `batch_size` (where every device must get as many); those
            beyond `batch_size` are masked. None: as many as rows.
    """
    return batches(np.random.default_rng(tuple(key)).permutation(rows), batch_size, width)


def batches(rows: np.ndarray, batch_size: int, width: int | None = None) -> Order:
    """As `epoch_batches`, in the order given."""
    steps = -(-len(rows) // batch_size)
    index = np.zeros(steps * batch_size, np.int32)
    index[: len(rows)] = rows
    where = np.arange(steps * batch_size) < len(rows)
    fill = ((0, 0), (0, (width or batch_size) - batch_size))
    return Order(
        np.pad(index.reshape(steps, batch_size), fill),
        np.pad(where.reshape(steps, batch_size), fill),
    )
