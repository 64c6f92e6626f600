"""Agreement of predicted scores with MOS: SRCC, KRCC, PLCC and RMSE.

PLCC and RMSE are taken after a four-parameter logistic has mapped the scores onto the MOS scale. Where
that curve cannot be fitted, the result says why and both numbers are those of the scores as they are.
"""

from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares
from scipy.special import expit
from scipy.stats import kendalltau, pearsonr, spearmanr

FEWEST_POINTS = 5  # four parameters pass through any four points
MAX_EVALUATIONS = 300
GRID = (64, 12)  # places and widths that a fit may start at
GRID_LOG_WIDTHS = (-6.0, 2.0)  # in standard deviations of the scores
GRID_STARTS = 6
LOG_WIDTHS = (-12.0, 12.0)  # of the curve, in standard deviations of the scores
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Logistic:
    """The curve `(b1 - b2) / (1 + exp(-(x - b3) / |b4|)) + b2`, or the reason why there is none.

    Attributes:
        b1: asymptote for high scores, in MOS units.
        b2: asymptote for low scores, in MOS units.
        b3: score in the middle of the two.
        b4: width of the transition, in score units.
        converged: whether the curve may be used; if not, the parameters are NaN.
        reason: why it may not be used; empty when it may.
    """

    b1: float
    b2: float
    b3: float
    b4: float
    converged: bool
    reason: str = ""

    def __call__(self, scores: ArrayLike) -> Vector:
        """Maps scores [n] to the MOS scale; raises `ValueError` if the fit failed."""
        if not self.converged:
            raise ValueError(f"there is no logistic curve to apply: {self.reason}")
        x = np.asarray(scores, np.float64)
        return self.b2 + (self.b1 - self.b2) * expit((x - self.b3) / abs(self.b4))


@dataclass(frozen=True)
class Metrics:
    """Agreement on one set of videos.

    Attributes:
        srcc: Spearman's rank correlation; NaN if the scores or the MOS are all alike.
        plcc: Pearson's correlation after `logistic`, or without it if it did not converge.
        krcc: Kendall's tau-b; NaN as `srcc`.
        rmse: root mean square error in MOS units, after `logistic` as `plcc`.
        n: number of videos.
        logistic: the mapping, with the reason if it failed.
    """

    srcc: float
    plcc: float
    krcc: float
    rmse: float
    n: int
    logistic: Logistic


def srcc(scores: ArrayLike, mos: ArrayLike) -> float:
    """Spearman's rank correlation of two vectors [n], ties ranked by their average.

    NaN if either is constant (to float32 resolution): nothing has been put in order then.
    """
    x, y = _checked(scores, mos)
    if _constant(x) or _constant(y):
        return nan
    return float(spearmanr(x, y).statistic)


def krcc(scores: ArrayLike, mos: ArrayLike) -> float:
    """Kendall's tau-b of two vectors [n]; NaN if either is constant."""
    x, y = _checked(scores, mos)
    if _constant(x) or _constant(y):
        return nan
    return float(kendalltau(x, y, variant="b").statistic)


def plcc(scores: ArrayLike, mos: ArrayLike) -> float:
    """Pearson's correlation of two vectors [n] as they are; NaN if either is constant."""
    x, y = _checked(scores, mos)
    if _constant(x) or _constant(y):
        return nan
    return float(pearsonr(x, y).statistic)


def rmse(scores: ArrayLike, mos: ArrayLike) -> float:
    """Root mean square difference of two vectors [n] as they are."""
    x, y = _checked(scores, mos)
    return float(np.sqrt(np.mean(np.square(x - y))))


def fit_logistic(scores: ArrayLike, mos: ArrayLike) -> Logistic:
    """Least-squares fit of the four-parameter logistic from scores [n] to MOS [n].

    Where scores and MOS agree weakly there are many minima, and the best fit of several starts is kept: the
    usual one of published code (a width of 0.5), one of a width like the scores' standard deviation, and
    those places and widths of a grid, with the asymptotes that are best for them, that leave the least
    over. As in published code the curve may fall, so that PLCC after it is not negative: SRCC has the sign.

    Returns:
        The curve, or one with `converged=False` and a reason: fewer than five videos, constant scores,
        constant MOS, a flat curve, or no convergence.
    """
    x, y = _checked(scores, mos)
    if x.size < FEWEST_POINTS:
        return _failed(f"fewer than {FEWEST_POINTS} videos")
    if _constant(x):
        return _failed("constant scores")
    if _constant(y):
        return _failed("constant MOS")

    # Both axes standardised: one set of tolerances then serves every scale. The width is fitted as
    # its logarithm, which keeps it positive; clipped where the curve is a step or a line.
    x_mean, x_std, y_mean, y_std = x.mean(), x.std(), y.mean(), y.std()
    u, v = (x - x_mean) / x_std, (y - y_mean) / y_std

    def curve_and_slopes(b: Vector) -> tuple[Vector, Vector]:
        steepness = np.exp(-np.clip(b[3], *LOG_WIDTHS))
        z = (u - b[2]) * steepness
        s = expit(z)
        ds = (b[0] - b[1]) * s * (1 - s)
        slopes = [s, 1 - s, -ds * steepness, -ds * z]
        return b[1] + (b[0] - b[1]) * s, np.stack(slopes, axis=1)

    # What the line leaves over: a curve that leaves no more may be used, converged or not. Where the best
    # curve is a line or an exponential, its optimum is at infinity, and close to it is good enough.
    of_line = 0.5 * x.size * (1 - np.mean(u * v) ** 2)
    fits = []
    for start in _starts(u, v, 0.5 / x_std):
        fit = least_squares(
            lambda b: curve_and_slopes(b)[0] - v,
            start,
            lambda b: curve_and_slopes(b)[1],
            method="lm",
            max_nfev=MAX_EVALUATIONS,
        )
        if fit.success or fit.cost <= 1.001 * of_line + 1e-6 * x.size:
            fits.append(fit)
    if not fits:
        return _failed(f"no convergence in {MAX_EVALUATIONS} evaluations")
    b1, b2, b3, log_b4 = min(fits, key=lambda fit: fit.cost).x
    curve = Logistic(
        b1=float(b1 * y_std + y_mean),
        b2=float(b2 * y_std + y_mean),
        b3=float(b3 * x_std + x_mean),
        b4=float(np.exp(np.clip(log_b4, *LOG_WIDTHS)) * x_std),
        converged=True,
    )
    return _failed("flat curve") if _constant(curve(x)) else curve


def _starts(u: Vector, v: Vector, usual_width: float) -> list[list[float]]:
    """Parameters to begin a fit of standardised MOS v [n] by standardised scores u [n] with."""
    high, low = v.max(), v.min()
    starts = [[high, low, 0.0, np.log(usual_width)], [high, low, 0.0, 0.0]]
    # For a place and a width the asymptotes are a linear least-squares problem.
    places = np.linspace(u.min(), u.max(), GRID[0])
    found = []
    for log_width in np.linspace(*GRID_LOG_WIDTHS, GRID[1]):
        s_PxN = expit((u - places[:, None]) * np.exp(-log_width))
        middle_P = s_PxN.mean(axis=1)
        c_PxN = s_PxN - middle_P[:, None]
        size_P = np.square(c_PxN).sum(axis=1)
        along_P = (c_PxN * v).sum(axis=1)  # a matrix product may round differently each time
        slope_P = np.divide(along_P, size_P, out=np.zeros_like(size_P), where=size_P > 1e-12)
        explained_P = np.square(slope_P) * size_P
        best = int(np.argmax(explained_P))  # its neighbours lead to the same minimum
        low = -slope_P[best] * middle_P[best]  # v has mean 0
        start = [low + slope_P[best], low, places[best], log_width]
        found.append((float(explained_P[best]), start))
    found.sort(key=lambda each: each[0], reverse=True)
    return [*starts, *(start for _, start in found[:GRID_STARTS])]


def measure(scores: ArrayLike, mos: ArrayLike) -> Metrics:
    """All four metrics of scores [n] against MOS [n].

    Raises:
        ValueError: the vectors differ in length, are empty, or hold values that are not finite.
    """
    x, y = _checked(scores, mos)
    logistic = fit_logistic(x, y)
    mapped = logistic(x) if logistic.converged else x
    return Metrics(srcc(x, y), plcc(mapped, y), krcc(x, y), rmse(mapped, y), x.size, logistic)


def _failed(reason: str) -> Logistic:
    return Logistic(nan, nan, nan, nan, converged=False, reason=reason)


def _constant(x: Vector) -> bool:
    """Whether the values differ by no more than float32 arithmetic may make equal ones differ."""
    return bool(np.ptp(x) <= 1e-6 * np.abs(x).max())


def _checked(scores: ArrayLike, mos: ArrayLike) -> tuple[Vector, Vector]:
    x, y = np.asarray(scores, np.float64), np.asarray(mos, np.float64)
    if x.ndim != 1 or x.shape != y.shape or x.size == 0:
        raise ValueError(
            f"scores and MOS must be vectors of one length ≥ 1, not {x.shape} and {y.shape}"
        )
    for name, values in (("scores", x), ("MOS", y)):
        if not np.isfinite(values).all():
            bad = int(np.sum(~np.isfinite(values)))
            raise ValueError(f"{bad} of {values.size} {name} are not finite")
    return x, y
