"""Uncertainty of the protocol's numbers: intervals, and comparisons of two models.

Two different things vary, and each has its own method here.

`bootstrap` asks what other test videos would have given. It draws the contents again, with replacement,
and keeps the trained models: it covers the choice of the test videos, and neither training nor the split.
A resample has fewer different contents than the data, and correlations of few contents come out higher: the
resamples are shifted so that their median is the number that was measured. In simulations 94 to 97 of 100
intervals held the true value with 40 contents or more in a test set, 91 with 11, and 79 to 90 with 5: with
so few they are too narrow.

`paired_test` asks what other training and test sets would have given. It looks at the differences between
two models over the splits, and allows for the videos that the splits share. It takes the data set as given.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isclose, isnan, nan, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from a2inet_jax.datasets.splits import Split
from a2inet_jax.errors import RunError
from a2inet_jax.evaluation.predictions import Prediction, by_member, measure_members
from a2inet_jax.metrics import fit_logistic

RESAMPLES = 1000
LEVEL = 0.95
# Smallest and largest value of each metric.
LIMITS = {"srcc": (-1.0, 1.0), "plcc": (-1.0, 1.0), "krcc": (-1.0, 1.0), "rmse": (0.0, inf)}
METRICS = tuple(LIMITS)
_BLOCK = 1024  # columns of the pair matrix that are computed at a time
Array = NDArray[np.float64]
Draws = Mapping[str, Array]


@dataclass(frozen=True)
class ScoredSet:
    """Scores, labels and contents of the videos in one ensemble member's test set, [n] each."""

    scores: Array
    mos: Array
    contents: Sequence[str]


def scored_sets(rows: Iterable[Prediction], contents: Mapping[str, str]) -> list[ScoredSet]:
    """Return each ensemble member's test set with the videos' contents, in the order of `by_member`."""
    return [
        ScoredSet(
            np.array([row.score for row in member]),
            np.array([row.mos for row in member]),
            [contents[row.video] for row in member],
        )
        for member in by_member(rows)
    ]


def draw(contents: Iterable[str], num_resamples: int = RESAMPLES, seed: int = 0) -> Draws:
    """Draw as many contents as there are, with replacement, once for each resample.

    Args:
        contents: Content ids, in any order; repeated ones count once.
        num_resamples: R.

    Returns:
        For each content, how often it is in each resample, [R].
    """
    names = sorted(set(contents))
    probability = np.full(len(names), 1 / len(names))
    counts = np.random.default_rng(seed).multinomial(len(names), probability, size=num_resamples)
    return dict(zip(names, counts.T.astype(np.float64), strict=True))


def bootstrap(
    scored_sets: Sequence[ScoredSet], draws: Draws, metrics: Sequence[str] = METRICS
) -> dict[str, Array]:
    """Return each metric's median over the ensemble members in each resample, [R].

    A video counts as often as its content is drawn, in every test set that it is in. PLCC and RMSE keep
    the logistic that was fitted to the whole test set: refitted to each resample, in which videos occur
    twice, it would flatter the model more than the fit that is reported.

    A correlation is 0 if a model gives all drawn videos the same score, as in the summary. If the labels of
    the drawn videos are all equal, or none is drawn, nothing can be measured: that test set is left out of
    the resample's median, which is NaN if none remains.

    `draws` are those of the contents of all test sets.
    """
    measured = [_resampled(each, draws, metrics) for each in scored_sets]
    return {name: _median(np.stack([each[name] for each in measured])) for name in metrics}


def interval(
    resampled: Array, measured: float, limits: tuple[float, float] = (-1.0, 1.0)
) -> tuple[float, float] | None:
    """Return the 95 % interval of a statistic: percentiles of its resamples, shifted to the measured value.

    Args:
        resampled: The statistic in each resample, [R]; NaN where it is undefined.
        measured: The statistic of the data.
        limits: Its smallest and largest possible value.

    Returns:
        Both ends, or None if the statistic is undefined in every resample.
    """
    defined = resampled[~np.isnan(resampled)]
    if not defined.size:
        return None
    tail = 50 * (1 - LEVEL)
    low, median, high = np.percentile(defined, [tail, 50, 100 - tail])
    low, high = np.clip([low - median + measured, high - median + measured], *limits)
    return float(low), float(high)


def paired_test(differences: Sequence[float], test_to_train: float) -> tuple[float | None, str]:
    """Compare two models on the same random splits by the corrected resampled t-test.

    The training sets of random splits overlap, so that the differences on n splits are not n independent
    ones. Their variance is multiplied by 1/n + n_test/n_train instead of 1/n (Nadeau and Bengio, 2003).

    Args:
        differences: Differences of a metric, one for each split.
        test_to_train: n_test/n_train, the numbers of test and training videos.

    Returns:
        The two-sided p, or None; and the reason if it is None.
    """
    num_splits = len(differences)
    if num_splits < 2:
        return None, "the test needs two splits or more"
    std = float(np.std(differences, ddof=1))
    if std <= 1e-12:
        return None, "the difference is the same on every split"
    t = float(np.mean(differences)) / (std * sqrt(1 / num_splits + test_to_train))
    return float(2 * stats.t.sf(abs(t), num_splits - 1)), ""


def compare(
    ours: Sequence[Prediction],
    theirs: Sequence[Prediction],
    contents: Mapping[str, str],
    splits: Sequence[Split],
) -> dict[str, Any]:
    """Compare the SRCC of two models.

    Args:
        ours: Test predictions of the first model.
        theirs: Those of the second model, on the same splits.
        contents: Content (reference id) of each video.
        splits: Their sizes enter the test.

    Returns:
        "difference" of the medians over the ensemble members; its bootstrap "interval", or None; "p" of
        the corrected resampled t-test, in which the seeds of a split are averaged, or None and the "reason".

    Raises:
        RunError: The models were not tested on the same videos and labels.
    """
    our_labels, their_labels = [
        {(row.split, row.video): row.mos for row in rows} for rows in (ours, theirs)
    ]
    # One of the runs may have stored its labels with fewer digits.
    if our_labels.keys() != their_labels.keys() or not all(
        isclose(mos, their_labels[key], rel_tol=1e-5) for key, mos in our_labels.items()
    ):
        raise RunError("two models were not tested on the same videos and labels: train them again")
    draws = draw(contents[row.video] for row in ours)
    our_srcc, their_srcc = _srcc_by_split(ours), _srcc_by_split(theirs)
    our_median, their_median = (
        np.median([value for values in each.values() for value in values])
        for each in (our_srcc, their_srcc)
    )
    difference = float(our_median - their_median)
    our_medians_R, their_medians_R = (
        bootstrap(scored_sets(rows, contents), draws, ["srcc"])["srcc"] for rows in (ours, theirs)
    )
    differences = [float(np.mean(our_srcc[n]) - np.mean(their_srcc[n])) for n in sorted(our_srcc)]
    # The validation set only chooses the epoch and nothing is fitted to it. Counting it would lower p.
    test_to_train = float(np.mean([len(split.test) / len(split.train) for split in splits]))
    p, reason = paired_test(differences, test_to_train)
    bounds = interval(our_medians_R - their_medians_R, difference, (-2.0, 2.0))
    return {"difference": difference, "interval": bounds, "p": p, "reason": reason}


def comparison_line(ours: str, theirs: str, found: Mapping[str, Any]) -> str:
    """Return the result of `compare` as a line of text.

    The first model is called better or worse if and only if the interval excludes 0. The p is of another
    procedure, which answers another question, and stands beside it.
    """
    p, bounds = found["p"], found["interval"]
    interval_text = f"95 % {bounds[0]:.3f} to {bounds[1]:.3f}" if bounds else "no interval"
    verdict = "no difference shown"
    if bounds and not bounds[0] <= 0 <= bounds[1]:
        verdict = "better" if found["difference"] > 0 else "worse"
    p_text = f"no p: {found['reason']}"
    if p is not None:
        p_text = "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
    numbers = f"{found['difference']:+.3f} SRCC, {interval_text}".replace("-", "−")
    return f"{ours} − {theirs}: {numbers}: {verdict} ({p_text})"


def _srcc_by_split(rows: Sequence[Prediction]) -> dict[int, list[float]]:
    """Return the SRCC of each split's members; 0 where it is undefined, as in the summary."""
    found: dict[int, list[float]] = defaultdict(list)
    for member, metrics in zip(by_member(rows), measure_members(rows), strict=True):
        found[member[0].split].append(0.0 if isnan(metrics.srcc) else metrics.srcc)
    return found


def _resampled(scored_set: ScoredSet, draws: Draws, metrics: Sequence[str]) -> dict[str, Array]:
    """Return the metrics of one test set in each resample, [R]."""
    weights_RxN = np.stack([draws[content] for content in scored_set.contents], axis=1)
    x_N = np.asarray(scored_set.scores, np.float64)
    y_N = np.asarray(scored_set.mos, np.float64)
    mapped_N = x_N
    if {"plcc", "rmse"} & set(metrics) and (logistic := fit_logistic(x_N, y_N)).converged:
        mapped_N = logistic(x_N)
    x_ranks, y_ranks = _Ranks(x_N, weights_RxN), _Ranks(y_N, weights_RxN)
    constant_labels_R = _constant(y_N, weights_RxN)

    def where_defined(values_R: Array, scores_N: Array) -> Array:
        values_R = np.where(_constant(scores_N, weights_RxN), 0.0, values_R)
        return np.where(constant_labels_R, nan, values_R)

    def correlation(x: Array, y: Array, scores_N: Array) -> Array:
        return where_defined(_correlation(x, y, weights_RxN), scores_N)

    compute = {
        "srcc": lambda: correlation(x_ranks.average_RxN, y_ranks.average_RxN, x_N),
        "plcc": lambda: correlation(mapped_N[None], y_N[None], mapped_N),
        "krcc": lambda: where_defined(_tau_b(x_ranks, y_ranks, weights_RxN), x_N),
        "rmse": lambda: _rmse(mapped_N, y_N, weights_RxN),
    }
    return {name: compute[name]() for name in metrics}


class _Ranks:
    """Ranks of values [n] in resamples, in which each video occurs as often as its weight [R, n].

    Attributes:
        average_RxN: Ranks with ties at their average.
        dense_N: Index of each value among the distinct ones, float32.
        ties_R: Number of pairs of videos with the same value.
    """

    def __init__(self, values_N: Array, weights_RxN: Array) -> None:
        _, index, count = np.unique(values_N, return_inverse=True, return_counts=True)
        order = np.argsort(index, kind="stable")
        # V: the distinct values.
        equal_RxV = np.add.reduceat(weights_RxN[:, order], np.cumsum(count) - count, axis=1)
        below_RxV = np.cumsum(equal_RxV, axis=1) - equal_RxV
        self.average_RxN = (below_RxV + (equal_RxV + 1) / 2)[:, index]
        self.dense_N = index.astype(np.float32)
        self.ties_R = (equal_RxV * (equal_RxV - 1)).sum(axis=1) / 2


def _correlation(x: Array, y: Array, weights_RxN: Array) -> Array:
    """Return Pearson's weighted correlation [R] of x and y, [R, n] or [1, n]; 0 if one is constant."""
    total = np.maximum(weights_RxN.sum(axis=1, keepdims=True), 1)
    u = x - (weights_RxN * x).sum(axis=1, keepdims=True) / total
    v = y - (weights_RxN * y).sum(axis=1, keepdims=True) / total
    covariance = (weights_RxN * u * v).sum(axis=1)
    norm = np.sqrt((weights_RxN * u * u).sum(axis=1) * (weights_RxN * v * v).sum(axis=1))
    return np.divide(covariance, norm, out=np.zeros_like(covariance), where=norm > 0)


def _tau_b(x: _Ranks, y: _Ranks, weights_RxN: Array) -> Array:
    """Return Kendall's tau-b [R]; 0 if one is constant. Counts are integers, which float32 keeps exactly."""
    weights = weights_RxN.astype(np.float32)
    concordance = np.zeros(len(weights))
    for start in range(0, weights.shape[1], _BLOCK):
        block = slice(start, start + _BLOCK)
        signs_NxB = np.sign(x.dense_N[:, None] - x.dense_N[None, block])
        signs_NxB *= np.sign(y.dense_N[:, None] - y.dense_N[None, block])
        products_RxB = (weights @ signs_NxB).astype(np.float64)
        concordance += np.einsum("rb,rb->r", products_RxB, weights[:, block])
    total = weights_RxN.sum(axis=1)
    pairs = total * (total - 1) / 2
    norm = np.sqrt((pairs - x.ties_R) * (pairs - y.ties_R))
    return np.divide(concordance / 2, norm, out=np.zeros_like(norm), where=norm > 0)


def _rmse(x_N: Array, y_N: Array, weights_RxN: Array) -> Array:
    total = weights_RxN.sum(axis=1)
    # Not as a matrix product, whose rounding may differ from call to call.
    square_sum = (weights_RxN * np.square(x_N - y_N)).sum(axis=1)
    return np.sqrt(np.divide(square_sum, total, out=total * nan, where=total > 0))


def _constant(values_N: Array, weights_RxN: Array) -> NDArray[np.bool_]:
    """Return whether the drawn values are equal, to float32 resolution as in `metrics`; True for none."""
    drawn = weights_RxN > 0
    high = np.where(drawn, values_N, -np.inf).max(axis=1)
    low = np.where(drawn, values_N, np.inf).min(axis=1)
    scale = np.where(drawn, np.abs(values_N), 0).max(axis=1)
    return ~(high - low > 1e-6 * scale)


def _median(values_SxR: Array) -> Array:
    """Return the median over S without NaNs; NaN if there is nothing else."""
    median_R = np.full(values_SxR.shape[1], nan)
    defined = ~np.isnan(values_SxR).all(axis=0)
    median_R[defined] = np.nanmedian(values_SxR[:, defined], axis=0)
    return median_R
