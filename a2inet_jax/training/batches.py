"""Batches: the videos of every step, planned on the host, and their features.

The order of an epoch is a function of (seed, split, epoch), so that a run resumes without stored iterator
state. Batches are gathered on the device from resident features, or collated by the host.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from a2inet_jax.training.data import TrainingData

Array = jax.Array | np.ndarray


class BatchPlan(NamedTuple):
    """K steps of S members, with B slots each.

    Attributes:
        indices: `[S, K, B]` int32, indices of videos; 0 in empty slots.
        where: `[S, K, B]` bool, False for empty slots: those that pad a batch, and all slots of the steps
            that a member with fewer batches than the others lacks.
    """

    indices: np.ndarray
    where: np.ndarray

    def steps(self, start: int, stop: int) -> "BatchPlan":
        """Return the steps in `[start, stop)`."""
        return BatchPlan(self.indices[:, start:stop], self.where[:, start:stop])


def num_steps(num_videos: int, batch_size: int) -> int:
    """Return the number of steps in an epoch; the last batch may be short, and none is dropped."""
    return -(-num_videos // batch_size)


def in_order(
    subsets: Sequence[np.ndarray], batch_size: int, padded_batch_size: int | None = None
) -> BatchPlan:
    """Cut each member's videos into batches, in the given order.

    Args:
        subsets: Indices of each member's videos, `[n_s]` int.
        batch_size: Videos of a batch.
        padded_batch_size: B ≥ `batch_size`, a multiple of the devices that split a batch; the slots beyond
            `batch_size` are empty. None: B = `batch_size`.
    """
    slots = padded_batch_size or batch_size
    steps = max((num_steps(len(subset), batch_size) for subset in subsets), default=0)
    indices_SxKxB = np.zeros((len(subsets), steps, slots), np.int32)
    where_SxKxB = np.zeros((len(subsets), steps, slots), bool)
    for s, subset in enumerate(subsets):
        step_and_slot = np.arange(len(subset)) // batch_size, np.arange(len(subset)) % batch_size
        indices_SxKxB[s][step_and_slot] = subset
        where_SxKxB[s][step_and_slot] = True
    return BatchPlan(indices_SxKxB, where_SxKxB)


def shuffled(
    keys: Sequence[Sequence[int]],
    subsets: Sequence[np.ndarray],
    batch_size: int,
    padded_batch_size: int | None = None,
) -> BatchPlan:
    """Shuffle each member's videos with its own key, then cut them as `in_order` does.

    Args:
        keys: The integers that seed each member's shuffle, such as (seed, split, epoch).
        subsets: As in `in_order`, like the other arguments.
        batch_size: As in `in_order`.
        padded_batch_size: As in `in_order`.
    """
    permuted = [
        np.random.default_rng(tuple(key)).permutation(subset)
        for key, subset in zip(keys, subsets, strict=True)
    ]
    return in_order(permuted, batch_size, padded_batch_size)


def bucket_lengths(lengths: np.ndarray, num_buckets: int) -> tuple[int, ...]:
    """Choose the few lengths that videos are padded to, ascending, the last at least the longest video.

    They are the quantiles that divide the videos into `num_buckets` groups of equal size, rounded up to a
    multiple of 8, or to a power of two below that: features pooled over time, of one row, are not padded.
    Equal ones count once.
    """
    quantiles = np.quantile(lengths, np.arange(1, num_buckets + 1) / num_buckets, method="higher")
    return tuple(sorted({_rounded_up(int(length)) for length in quantiles}))


def _rounded_up(length: int) -> int:
    return 8 * -(-length // 8) if length > 4 else 1 << (length - 1).bit_length()


def padded_length(length: int, buckets: Sequence[int]) -> int:
    """Return the shortest of the ascending bucket lengths that holds `length` frames."""
    return next(bucket for bucket in buckets if bucket >= length)


def group_by_bucket(
    subsets: Sequence[np.ndarray], lengths: np.ndarray, buckets: Sequence[int]
) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Group each member's videos by padded length; buckets without videos are left out.

    Args:
        subsets: Indices of each member's videos, `[n_s]` int.
        lengths: `[N]` int, frames of every video.
        buckets: Bucket lengths, ascending.

    Yields:
        The bucket length, and for each member the positions in its subset, `[m_s]` int.
    """
    below = 0
    for bucket in buckets:
        positions = [
            np.flatnonzero((lengths[subset] > below) & (lengths[subset] <= bucket))
            for subset in subsets
        ]
        if any(len(each) for each in positions):
            yield bucket, positions
        below = bucket


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
