"""How far the protocol's numbers could have come out otherwise: intervals, and comparisons of two models.

Two different things vary, and each has its own method here.

`bootstrap` asks what other test videos would have given. It draws the contents again, with replacement,
and keeps the trained models: it covers the choice of the test videos, and neither training nor the split.
A resample has fewer different contents than the data, and correlations of few contents come out higher: the
resamples are shifted so that their median is the number that was measured. In simulations 94 to 97 of 100
intervals held the true value with 40 contents or more in a test part, 91 with 11, and 79 to 90 with 5: with
so few they are too narrow.

`paired_test` asks what other training and test parts would have given. It looks at the differences between
two models over the splits, and allows for the videos that the splits share. It takes the data set as given.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, nan, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from a2inet_jax.evaluation.metrics import fit_logistic

METRICS = ("srcc", "plcc", "krcc", "rmse")
RESAMPLES = 1000
LEVEL = 0.95
LIMITS = {"srcc": (-1.0, 1.0), "plcc": (-1.0, 1.0), "krcc": (-1.0, 1.0), "rmse": (0.0, inf)}
_BLOCK = 1024  # columns of the pairs' matrix at a time
Array = NDArray[np.float64]
Draws = Mapping[str, Array]


@dataclass(frozen=True)
class Part:
    """The test part of one training.

    Attributes:
        scores: predictions, [n].
        mos: labels, [n].
        contents: content of each video, [n].
    """

    scores: Array
    mos: Array
    contents: Sequence[str]


def draw(contents: Iterable[str], number: int = RESAMPLES, seed: int = 0) -> Draws:
    """Draws as many contents as there are, with replacement, `number` times.

    Returns:
        For each content how often it is in each resample, [R]. The order of `contents` does not matter.
    """
    names = sorted(set(contents))
    share = np.full(len(names), 1 / len(names))
    counts = np.random.default_rng(seed).multinomial(len(names), share, size=number)
    return dict(zip(names, counts.T.astype(np.float64), strict=True))


def bootstrap(
    parts: Sequence[Part], draws: Draws, metrics: Sequence[str] = METRICS
) -> dict[str, Array]:
    """Median over the trainings of each metric, [R], in each resample.

    A video counts as often as its content is drawn, in every test part that it is in. PLCC and RMSE keep
    the logistic that was fitted to the whole test part: fitted anew to each resample, with its videos that
    occur twice, it would flatter the model more than the fit that is reported.

    A correlation is 0 where a model gives all videos that are drawn the same score, as in the summary.
    Where their labels are all alike, or none is drawn, nothing can be measured: that test part is left
    out of the resample's median, which is NaN if no part is left.
    """
    measured = [_resampled(part, draws, metrics) for part in parts]
    return {name: _median(np.stack([each[name] for each in measured])) for name in metrics}


def interval(
    resampled: Array, measured: float, limits: tuple[float, float] = (-1.0, 1.0)
) -> tuple[float, float] | None:
    """95 % interval of a statistic: the percentiles of its resamples, shifted to what was measured.

    Args:
        resampled: the statistic in each resample, [R]; NaN where it is not defined.
        measured: the statistic of the data.
        limits: the values that it can have.

    Returns:
        Both ends, or None if it is defined in no resample.
    """
    defined = resampled[~np.isnan(resampled)]
    if not defined.size:
        return None
    tail = 50 * (1 - LEVEL)
    low, middle, high = np.percentile(defined, [tail, 50, 100 - tail])
    low, high = np.clip([low - middle + measured, high - middle + measured], *limits)
    return float(low), float(high)


def paired_test(differences: Sequence[float], ratio: float) -> tuple[float | None, str]:
    """Corrected resampled t-test of two models on the same random splits (Nadeau and Bengio, 2003).

    The training parts of random splits overlap, so that differences over n splits are not n independent
    ones. Their variance is taken times 1/n + n_test/n_train instead of 1/n.

    Args:
        differences: of a metric, one a split.
        ratio: n_test/n_train, videos tested and videos trained on.

    Returns:
        The two-sided p, or None and the reason why there is none.
    """
    number = len(differences)
    if number < 2:
        return None, "the test needs two splits or more"
    spread = float(np.std(differences, ddof=1))
    if spread <= 1e-12:
        return None, "the difference is the same on every split"
    t = float(np.mean(differences)) / (spread * sqrt(1 / number + ratio))
    return float(2 * stats.t.sf(abs(t), number - 1)), ""


def _resampled(part: Part, draws: Draws, metrics: Sequence[str]) -> dict[str, Array]:
    weights_RxN = np.stack([draws[content] for content in part.contents], axis=1)
    x, y = np.asarray(part.scores, np.float64), np.asarray(part.mos, np.float64)
    mapped = x
    if {"plcc", "rmse"} & set(metrics) and (logistic := fit_logistic(x, y)).converged:
        mapped = logistic(x)
    ranks = _Ranks(x, weights_RxN), _Ranks(y, weights_RxN)
    no_labels = _constant(y, weights_RxN)

    def defined(values: Array, of: Array) -> Array:
        return np.where(no_labels, nan, np.where(_constant(of, weights_RxN), 0.0, values))

    measure = {
        "srcc": lambda: defined(_correlation(ranks[0].average, ranks[1].average, weights_RxN), x),
        "plcc": lambda: defined(_correlation(mapped[None], y[None], weights_RxN), mapped),
        "krcc": lambda: defined(_tau_b(*ranks, weights_RxN), x),
        "rmse": lambda: _rmse(mapped, y, weights_RxN),
    }
    return {name: measure[name]() for name in metrics}


class _Ranks:
    """Ranks of values [n] in which each video occurs as often as its weight [R, n] says.

    Attributes:
        average: [R, n], ties by their average.
        dense: [n] float32, the number of the value among the different ones.
        tied: pairs of videos with the same value, [R].
    """

    def __init__(self, values: Array, weights_RxN: Array) -> None:
        _, place, count = np.unique(values, return_inverse=True, return_counts=True)
        order = np.argsort(place, kind="stable")
        same = np.add.reduceat(weights_RxN[:, order], np.cumsum(count) - count, axis=1)
        below = np.cumsum(same, axis=1) - same
        self.average = (below + (same + 1) / 2)[:, place]
        self.dense = place.astype(np.float32)
        self.tied = (same * (same - 1)).sum(axis=1) / 2


def _correlation(x: Array, y: Array, weights_RxN: Array) -> Array:
    """Pearson's correlation [R] of x and y, [R, n] or [1, n], weighted; 0 where one does not vary."""
    total = np.maximum(weights_RxN.sum(axis=1, keepdims=True), 1)
    u = x - (weights_RxN * x).sum(axis=1, keepdims=True) / total
    v = y - (weights_RxN * y).sum(axis=1, keepdims=True) / total
    top = (weights_RxN * u * v).sum(axis=1)
    below = np.sqrt((weights_RxN * u * u).sum(axis=1) * (weights_RxN * v * v).sum(axis=1))
    return np.divide(top, below, out=np.zeros_like(top), where=below > 0)


def _tau_b(x: _Ranks, y: _Ranks, weights_RxN: Array) -> Array:
    """Kendall's tau-b [R]; 0 where one does not vary. Counts are whole numbers: float32 is exact."""
    weights = weights_RxN.astype(np.float32)
    balance = np.zeros(len(weights))
    for first in range(0, weights.shape[1], _BLOCK):
        part = slice(first, first + _BLOCK)
        agree_NxB = np.sign(x.dense[:, None] - x.dense[None, part])
        agree_NxB *= np.sign(y.dense[:, None] - y.dense[None, part])
        balance += np.einsum("rb,rb->r", (weights @ agree_NxB).astype(np.float64), weights[:, part])
    total = weights_RxN.sum(axis=1)
    pairs = total * (total - 1) / 2
    below = np.sqrt((pairs - x.tied) * (pairs - y.tied))
    return np.divide(balance / 2, below, out=np.zeros_like(below), where=below > 0)


def _rmse(x: Array, y: Array, weights_RxN: Array) -> Array:
    total = weights_RxN.sum(axis=1)
    mean = np.divide(weights_RxN @ np.square(x - y), total, out=total * nan, where=total > 0)
    return np.sqrt(mean)


def _constant(values: Array, weights_RxN: Array) -> NDArray[np.bool_]:
    """Where the values that are drawn are all alike, to float32 resolution as in `metrics`; or none is."""
    drawn = weights_RxN > 0
    high = np.where(drawn, values, -np.inf).max(axis=1)
    low = np.where(drawn, values, np.inf).min(axis=1)
    scale = np.where(drawn, np.abs(values), 0).max(axis=1)
    return ~(high - low > 1e-6 * scale)


def _median(values_SxR: Array) -> Array:
    found = np.full(values_SxR.shape[1], nan)
    defined = ~np.isnan(values_SxR).all(axis=0)
    found[defined] = np.nanmedian(values_SxR[:, defined], axis=0)
    return found
