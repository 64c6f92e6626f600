"""Batches: gathered on the device from resident features, or collated by the host."""

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
        where: `[B]` bool, False for empty slots.
    """

    streams: tuple[Array, ...]
    mask: Array
    label: Array
    where: Array


class BatchIndices(NamedTuple):
    """A batch as indices of its videos, `[B]` int32; `label` and `where` as in `Batch`."""

    indices: Array
    label: Array
    where: Array


class FlatFeatures(NamedTuple):
    """The features of all videos concatenated along time, without padding, as resident on the device.

    Attributes:
        streams: `[F, D_i]` float16 each: the frames of the first video, of the second, and so on, and
            after the last video as many zeros as the longest padded batch has frames.
        start: `[N]` int32, index of each video's first frame.
        length: `[N]` int32, number of each video's frames.
    """

    streams: tuple[Array, ...]
    start: Array
    length: Array


def flatten(data: TrainingData, longest: int) -> FlatFeatures:
    """Read all videos into memory; `longest` is the largest T that will be gathered."""
    ends = np.cumsum(data.lengths, dtype=np.int64)
    streams = tuple(np.zeros((ends[-1] + longest, d), np.float16) for d in data.widths)
    start = (ends - data.lengths).astype(np.int32)
    for n, (begin, end) in enumerate(zip(start, ends)):
        for flat_FxD, stream_TxD in zip(streams, data.read(n), strict=True):
            flat_FxD[begin:end] = stream_TxD
    return FlatFeatures(streams, start, data.lengths)


def gather(features: FlatFeatures, batch: BatchIndices, length: int) -> Batch:
    """Gather T = `length` frames of each video of the batch.

    A video's padding holds the first frames of the videos after it; the mask hides them from every score
    and gradient.
    """

    def slice_frames(flat_FxD: Array, start: Array) -> jax.Array:
        return jax.lax.dynamic_slice_in_dim(flat_FxD, start, length)

    start_B = features.start[batch.indices]
    streams = tuple(jax.vmap(slice_frames, (None, 0))(flat, start_B) for flat in features.streams)
    # Empty slots count as videos without frames, so that the video they point at reaches nothing.
    length_B = jnp.where(batch.where, features.length[batch.indices], 0)
    mask_BxT = jnp.arange(length)[None, :] < length_B[:, None]
    return Batch(streams, mask_BxT, batch.label, batch.where)


def collate(
    data: TrainingData, indices: np.ndarray, needed: np.ndarray, length: int
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Read videos and pad them to T frames.

    Args:
        data: The videos.
        indices: `[...]` int, indices of videos.
        needed: `[...]` bool, False for slots that stay empty.
        length: T.

    Returns:
        Streams, `[..., T, D_i]` float16 each, and the mask, `[..., T]` bool.
    """
    streams = tuple(np.zeros((*indices.shape, length, d), np.float16) for d in data.widths)
    mask = np.arange(length) < np.where(needed, data.lengths[indices], 0)[..., None]
    # Splits share videos, so slots are grouped by video and each video is read once.
    slots_by_video: dict[int, list[tuple[int, ...]]] = {}
    for slot in zip(*np.nonzero(needed)):
        slots_by_video.setdefault(int(indices[slot]), []).append(tuple(slot))
    for n, slots in slots_by_video.items():
        for stream, stream_TxD in zip(streams, data.read(n), strict=True):
            for slot in slots:
                stream[slot][: len(stream_TxD)] = stream_TxD
    return streams, mask
