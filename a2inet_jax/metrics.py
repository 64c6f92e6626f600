"""Agreement of predicted scores with MOS: SRCC, KRCC, PLCC and RMSE.

PLCC and RMSE are computed after a four-parameter logistic has mapped the scores to the MOS scale. If that
curve cannot be fitted, the result gives the reason and both metrics are those of the unmapped scores.

Constant scores or MOS have no order: SRCC, KRCC and PLCC are NaN, while training as in results.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares
from scipy.special import expit
from scipy.stats import kendalltau, pearsonr, rankdata

MIN_POINTS = 5  # four parameters pass through any four points
MAX_EVALUATIONS = 300
# Grid of the curve's centres and widths, the best of which are starting points of the fit. Widths are
# logarithms, in standard deviations of the scores.
GRID_SIZE = (64, 12)
GRID_LOG_WIDTHS = (-6.0, 2.0)
GRID_STARTS = 6
LOG_WIDTHS = (-12.0, 12.0)  # bounds of the fitted width
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Logistic:
    """The curve `(b1 - b2) / (1 + exp(-(x - b3) / |b4|)) + b2`, or the reason why there is none.

    Attributes:
        b1: Asymptote for high scores, in MOS units.
        b2: Asymptote for low scores, in MOS units.
        b3: Score at the centre of the transition.
        b4: Width of the transition, in score units.
        converged: Whether the fit succeeded; if not, the parameters are NaN.
        reason: Why the fit failed; empty if it succeeded.
    """

    b1: float
    b2: float
    b3: float
    b4: float
    converged: bool
    reason: str = ""

    def __call__(self, scores: ArrayLike) -> Vector:
        """Map scores [n] to the MOS scale; `ValueError` if the fit failed."""
        if not self.converged:
            raise ValueError(f"there is no logistic curve to apply: {self.reason}")
        x = np.asarray(scores, np.float64)
        return self.b2 + (self.b1 - self.b2) * expit((x - self.b3) / abs(self.b4))


@dataclass(frozen=True)
class Metrics:
    """Agreement on one set of videos.

    Attributes:
        srcc: Spearman's rank correlation; NaN if the scores or the MOS are constant.
        plcc: Pearson's correlation after `logistic`, or of the unmapped scores if its fit failed.
        krcc: Kendall's tau-b; NaN in the same cases as `srcc`.
        rmse: Root mean square error in MOS units, after `logistic` as for `plcc`.
        n: Number of videos.
        logistic: The fitted mapping.
    """

    srcc: float
    plcc: float
    krcc: float
    rmse: float
    n: int
    logistic: Logistic


def srcc(scores: ArrayLike, mos: ArrayLike) -> float:
    """Return Spearman's rank correlation of two vectors [n], with average ranks for ties.

    NaN if either is constant, up to the rounding errors of float32; one video always is.
    """
    return _correlation(lambda x, y: np.corrcoef(rankdata(x), rankdata(y))[0, 1], scores, mos)


def krcc(scores: ArrayLike, mos: ArrayLike) -> float:
    """Return Kendall's tau-b of two vectors [n]; NaN if either is constant."""
    return _correlation(lambda x, y: kendalltau(x, y, variant="b").statistic, scores, mos)


def plcc(scores: ArrayLike, mos: ArrayLike) -> float:
    """Return Pearson's correlation of two vectors [n], without a mapping; NaN if either is constant."""
    return _correlation(lambda x, y: pearsonr(x, y).statistic, scores, mos)


def rmse(scores: ArrayLike, mos: ArrayLike) -> float:
    """Return the root mean square difference of two vectors [n], without a mapping."""
    x, y = _checked(scores, mos)
    return float(np.sqrt(np.mean(np.square(x - y))))


def fit_logistic(scores: ArrayLike, mos: ArrayLike) -> Logistic:
    """Fit the four-parameter logistic from scores [n] to MOS [n] by least squares.

    If scores and MOS agree weakly, there are many minima. The fit therefore runs from several starting points
    and the best result is kept: the one of published code (a width of 0.5), one with the scores' standard
    deviation as width, and the points of a grid of centres and widths, each with its optimal asymptotes,
    that have the smallest residuals. As in published code the curve may fall, so that PLCC after it is not
    negative: only SRCC has the sign.

    Returns:
        The curve, or one with `converged=False` and a reason: fewer than five videos, constant scores,
        constant MOS, a flat curve, or no convergence.
    """
    x, y = _checked(scores, mos)
    if x.size < MIN_POINTS:
        return _failed(f"fewer than {MIN_POINTS} videos")
    if _constant(x):
        return _failed("constant scores")
    if _constant(y):
        return _failed("constant MOS")

    # Standardise both axes, so that one set of tolerances serves every scale. The width is fitted as its
    # logarithm, which keeps it positive, and clipped where the curve is practically a step or a line.
    x_mean, x_std, y_mean, y_std = x.mean(), x.std(), y.mean(), y.std()
    u, v = (x - x_mean) / x_std, (y - y_mean) / y_std

    def curve_and_slopes(b: Vector) -> tuple[Vector, Vector]:
        steepness = np.exp(-np.clip(b[3], *LOG_WIDTHS))
        z = (u - b[2]) * steepness
        s = expit(z)
        ds = (b[0] - b[1]) * s * (1 - s)
        slopes = [s, 1 - s, -ds * steepness, -ds * z]
        return b[1] + (b[0] - b[1]) * s, np.stack(slopes, axis=1)

    # A curve that fits at least as well as a straight line is accepted, converged or not: if the data are a
    # line or an exponential, the optimum is at infinity, and a point close to it is good enough.
    line_cost = 0.5 * x.size * (1 - np.mean(u * v) ** 2)
    fits = []
    for start in _starts(u, v, 0.5 / x_std):
        fit = least_squares(
            lambda b: curve_and_slopes(b)[0] - v,
            start,
            lambda b: curve_and_slopes(b)[1],
            method="lm",
            max_nfev=MAX_EVALUATIONS,
        )
        if fit.success or fit.cost <= 1.001 * line_cost + 1e-6 * x.size:
            fits.append(fit)
    if not fits:
        return _failed(f"no convergence in {MAX_EVALUATIONS} evaluations")
    # Fits of a step have equal costs: those that SciPy gives are a dot product, whose rounding may differ
    # from call to call.
    b1, b2, b3, log_b4 = min(fits, key=lambda fit: np.square(fit.fun).sum()).x
    curve = Logistic(
        b1=float(b1 * y_std + y_mean),
        b2=float(b2 * y_std + y_mean),
        b3=float(b3 * x_std + x_mean),
        b4=float(np.exp(np.clip(log_b4, *LOG_WIDTHS)) * x_std),
        converged=True,
    )
    return _failed("flat curve") if _constant(curve(x)) else curve


def _starts(u: Vector, v: Vector, published_width: float) -> list[list[float]]:
    """Return starting points of the fit from standardised scores u [n] to standardised MOS v [n]."""
    high, low = v.max(), v.min()
    starts = [[high, low, 0.0, np.log(published_width)], [high, low, 0.0, 0.0]]
    # For a given centre and width, the asymptotes are a linear least-squares problem.
    centre_C = np.linspace(u.min(), u.max(), GRID_SIZE[0])
    candidates = []
    for log_width in np.linspace(*GRID_LOG_WIDTHS, GRID_SIZE[1]):
        s_CxN = expit((u - centre_C[:, None]) * np.exp(-log_width))
        mean_C = s_CxN.mean(axis=1)
        deviation_CxN = s_CxN - mean_C[:, None]
        square_sum_C = np.square(deviation_CxN).sum(axis=1)
        # Not as a matrix product, whose rounding may differ from call to call.
        product_sum_C = (deviation_CxN * v).sum(axis=1)
        slope_C = np.divide(
            product_sum_C, square_sum_C, out=np.zeros_like(square_sum_C), where=square_sum_C > 1e-12
        )
        explained_C = np.square(slope_C) * square_sum_C
        best = int(np.argmax(explained_C))  # neighbouring centres lead to the same minimum
        low = -slope_C[best] * mean_C[best]  # v has mean 0
        start = [low + slope_C[best], low, centre_C[best], log_width]
        candidates.append((float(explained_C[best]), start))
    candidates.sort(key=lambda each: each[0], reverse=True)
    return [*starts, *(start for _, start in candidates[:GRID_STARTS])]


def measure(scores: ArrayLike, mos: ArrayLike) -> Metrics:
    """Return all four metrics of scores [n] against MOS [n].

    Raises:
        ValueError: The vectors differ in length, are empty, or have values that are not finite.
    """
    x, y = _checked(scores, mos)
    logistic = fit_logistic(x, y)
    mapped = logistic(x) if logistic.converged else x
    return Metrics(srcc(x, y), plcc(mapped, y), krcc(x, y), rmse(mapped, y), x.size, logistic)


def _correlation(
    compute: Callable[[Vector, Vector], float], scores: ArrayLike, mos: ArrayLike
) -> float:
    x, y = _checked(scores, mos)
    return nan if _constant(x) or _constant(y) else float(compute(x, y))


def _failed(reason: str) -> Logistic:
    return Logistic(nan, nan, nan, nan, converged=False, reason=reason)


def _constant(x: Vector) -> bool:
    """Return whether the values are equal up to the rounding errors of float32."""
    return bool(np.ptp(x) <= 1e-6 * np.abs(x).max())


def _checked(scores: ArrayLike, mos: ArrayLike) -> tuple[Vector, Vector]:
    x, y = np.asarray(scores, np.float64), np.asarray(mos, np.float64)
    if x.ndim != 1 or x.shape != y.shape or x.size == 0:
        raise ValueError(
            f"scores and MOS must be vectors of the same length ≥ 1, not {x.shape} and {y.shape}"
        )
    for name, values in (("scores", x), ("MOS", y)):
        if not np.isfinite(values).all():
            bad = int(np.sum(~np.isfinite(values)))
            raise ValueError(f"{bad} of {values.size} {name} are not finite")
    return x, y
