"""Batches: gathered on the device from features that live there, or put together by the host."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from a2inet_jax.training.data import TrainingData

Array = jax.Array | np.ndarray


class Batch(NamedTuple):
    """B videos, padded to T frames.

    Attributes:
        streams: `[B, T, D_i]` float16 each.
        mask: `[B, T]` bool, True for each video's frames.
        label: `[B]` float32, scaled for training.
        where: `[B]` bool, False for places that only fill the batch.
    """

    streams: tuple[Array, ...]
    mask: Array
    label: Array
    where: Array


class Rows(NamedTuple):
    """A batch as the numbers of its videos, `[B]` int32; `label` and `where` as in `Batch`."""

    rows: Array
    label: Array
    where: Array


class Frames(NamedTuple):
    """The features of all videos end to end, without padding: what lives on the device.

    Attributes:
        streams: `[F, D_i]` float16 each: the frames of the first video, the second, and so on, and
            zeros behind the last, as many as the longest batch is long.
        start: `[N]` int32, where each video begins.
        length: `[N]` int32, its frames.
    """

    streams: tuple[Array, ...]
    start: Array
    length: Array


def frames_of(features: TrainingData, longest: int) -> Frames:
    """Reads all videos; `longest` is the largest T that will be gathered."""
    ends = np.cumsum(features.lengths, dtype=np.int64)
    streams = tuple(np.zeros((ends[-1] + longest, d), np.float16) for d in features.widths)
    start = (ends - features.lengths).astype(np.int32)
    for n, (begin, end) in enumerate(zip(start, ends)):
        for whole, stream in zip(streams, features.read(n), strict=True):
            whole[begin:end] = stream
    return Frames(streams, start, features.lengths)


def gather(frames: Frames, batch: Rows, length: int) -> Batch:
    """The batch's videos, T = `length` frames of each.

    What follows a video in the flat arrays stands in its padding; no score and no gradient sees it.
    """

    def take(stream: Array, start: Array) -> jax.Array:
        return jax.lax.dynamic_slice_in_dim(stream, start, length)

    start_B = frames.start[batch.rows]
    streams = tuple(jax.vmap(take, (None, 0))(stream, start_B) for stream in frames.streams)
    # Places that fill the batch hold no frame: what stands there must reach nothing.
    length_B = jnp.where(batch.where, frames.length[batch.rows], 0)
    mask_BxT = jnp.arange(length)[None, :] < length_B[:, None]
    return Batch(streams, mask_BxT, batch.label, batch.where)


def collate(
    features: TrainingData, rows: np.ndarray, needed: np.ndarray, length: int
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Reads videos and pads them to T frames.

    Args:
        features: Of all videos.
        rows: `[...]` int, numbers of videos.
        needed: `[...]` bool, False for places that hold no frame.
        length: T.

    Returns:
        Streams, `[..., T, D_i]` float16 each, and the mask, `[..., T]` bool.
    """
    streams = tuple(np.zeros((*rows.shape, length, d), np.float16) for d in features.widths)
    mask = np.arange(length) < np.where(needed, features.lengths[rows], 0)[..., None]
    places: dict[int, list[tuple[int, ...]]] = {}
    for place in zip(*np.nonzero(needed)):
        places.setdefault(int(rows[place]), []).append(tuple(place))
    for n, same in places.items():  # splits share videos: each is read once
        for stream, values in zip(streams, features.read(n), strict=True):
            for place in same:
                stream[place][: len(values)] = values
    return streams, mask
