"""Batch plans: the videos of every step, for all ensemble members side by side, and their padded lengths.

The order of an epoch is a function of (seed, split, epoch), so that a run resumes without stored
iterator state.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np


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
    multiple of 8; equal ones count once.
    """
    quantiles = np.quantile(lengths, np.arange(1, num_buckets + 1) / num_buckets, method="higher")
    return tuple(sorted({8 * -(-int(length) // 8) for length in quantiles}))


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
