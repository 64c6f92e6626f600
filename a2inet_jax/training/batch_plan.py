"""Which videos each step takes, for all members side by side; and the lengths that they are padded to.

Orders are functions of (seed, split, epoch): where a training stands is all there is to know of its input.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np


class BatchPlan(NamedTuple):
    """K steps of S members, B places each.

    Attributes:
        rows: `[S, K, B]` int32, numbers of videos; 0 where `where` is False.
        where: `[S, K, B]` bool, False for places that fill a batch, and in all places of steps that
            fill up a member with fewer steps than others.
    """

    rows: np.ndarray
    where: np.ndarray

    def steps(self, start: int, stop: int) -> "BatchPlan":
        """The steps from `start` to before `stop`."""
        return BatchPlan(self.rows[:, start:stop], self.where[:, start:stop])


def steps_of(videos: int, batch_size: int) -> int:
    """Steps that this many videos take; the last may be short, none is dropped."""
    return -(-videos // batch_size)


def arrange(parts: Sequence[np.ndarray], batch_size: int, width: int | None = None) -> BatchPlan:
    """Puts each member's videos into batches, in the order given.

    Args:
        parts: For each member, numbers of its videos, `[n_s]` int.
        batch_size: Videos of a batch.
        width: Places of a batch, ≥ `batch_size`, those beyond it masked: every device must get as many
            as every other. None: as many as videos.
    """
    width = width or batch_size
    steps = max((steps_of(len(part), batch_size) for part in parts), default=0)
    rows = np.zeros((len(parts), steps, width), np.int32)
    where = np.zeros((len(parts), steps, width), bool)
    for s, part in enumerate(parts):
        places = np.arange(len(part)) // batch_size, np.arange(len(part)) % batch_size
        rows[s][places] = part
        where[s][places] = True
    return BatchPlan(rows, where)


def shuffled(
    keys: Sequence[Sequence[int]],
    parts: Sequence[np.ndarray],
    batch_size: int,
    width: int | None = None,
) -> BatchPlan:
    """As `arrange`, each member's videos shuffled first by a key of its own.

    Args:
        keys: For each member, numbers that its order is a function of, such as (seed, split, epoch).
        parts: As for `arrange`, like the other arguments.
        batch_size: As for `arrange`.
        width: As for `arrange`.
    """
    mixed = [
        np.random.default_rng(tuple(key)).permutation(part)
        for key, part in zip(keys, parts, strict=True)
    ]
    return arrange(mixed, batch_size, width)


def buckets(lengths: np.ndarray, number: int) -> tuple[int, ...]:
    """The few lengths that videos are padded to, ascending, none shorter than the longest video.

    The quantiles that part the videos into `number` groups of equal size, rounded up to a multiple of 8.
    """
    quantiles = np.quantile(lengths, np.arange(1, number + 1) / number, method="higher")
    return tuple(sorted({8 * -(-int(length) // 8) for length in quantiles}))


def bucket(length: int, lengths: Sequence[int]) -> int:
    """The first of the lengths, ascending, that is not below `length`."""
    return next(each for each in lengths if each >= length)


def by_length(
    parts: Sequence[np.ndarray], lengths: np.ndarray, among: Sequence[int]
) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Sorts each member's videos into the buckets; yields each bucket that is used, with its videos.

    Args:
        parts: For each member, numbers of its videos, `[n_s]` int.
        lengths: `[N]` int, frames of every video.
        among: The buckets, ascending.

    Yields:
        The bucket's length, and for each member the positions in its part, `[m_s]`.
    """
    below = 0
    for upper in among:
        chosen = [np.flatnonzero((lengths[p] > below) & (lengths[p] <= upper)) for p in parts]
        if any(len(each) for each in chosen):
            yield upper, chosen
        below = upper
