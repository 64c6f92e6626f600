"""The metrics, compared with slow and independent implementations."""

import warnings
from typing import Any

import numpy as np
import pytest
from scipy.optimize import least_squares

from a2inet_jax import metrics
from a2inet_jax.metrics import Logistic

RNG = np.random.default_rng(0)


def ranks(values: np.ndarray) -> list[float]:
    """Return average ranks, counted one by one."""
    return [sum(w < v for w in values) + (sum(w == v for w in values) + 1) / 2 for v in values]


def pearson(x: list[float], y: list[float]) -> float:
    a, b = sum(x) / len(x), sum(y) / len(y)
    covariance = sum((p - a) * (q - b) for p, q in zip(x, y, strict=True))
    return covariance / (sum((p - a) ** 2 for p in x) * sum((q - b) ** 2 for q in y)) ** 0.5


def tau_b(x: np.ndarray, y: np.ndarray) -> float:
    concordant = discordant = only_x = only_y = 0
    for i in range(len(x)):
        for j in range(i):
            sign = np.sign(x[i] - x[j]) * np.sign(y[i] - y[j])
            concordant += sign > 0
            discordant += sign < 0
            only_x += x[i] == x[j] and y[i] != y[j]
            only_y += y[i] == y[j] and x[i] != x[j]
    total = concordant + discordant
    return float((concordant - discordant) / ((total + only_x) * (total + only_y)) ** 0.5)


def test_ranks_with_ties_by_hand() -> None:
    # Ranks of the scores: 1, 2.5, 2.5, 4, 5; of the MOS: 2, 1, 3, 4.5, 4.5.
    scores, mos = [0.1, 0.4, 0.4, 0.7, 0.9], [20, 10, 30, 50, 50]
    # Deviations (-2, -.5, -.5, 1, 2) and (-1, -2, 0, 1.5, 1.5): 7.5 / 9.5.
    assert metrics.srcc(scores, mos) == pytest.approx(7.5 / 9.5)
    # Of ten pairs 7 agree, 1 disagrees, 1 is tied in each: 6 / 9.
    assert metrics.krcc(scores, mos) == pytest.approx(6 / 9)


@pytest.mark.parametrize("levels", [3, 10, 1000])
def test_metrics_against_double_loops(levels: int) -> None:
    x = RNG.integers(0, levels, 40).astype(float)
    y = np.round(x + RNG.normal(0, levels / 3, 40))
    assert metrics.srcc(x, y) == pytest.approx(pearson(ranks(x), ranks(y)), abs=1e-12)
    assert metrics.krcc(x, y) == pytest.approx(tau_b(x, y), abs=1e-12)
    assert metrics.plcc(x, y) == pytest.approx(pearson(list(x), list(y)), abs=1e-12)
    squares = sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
    assert metrics.rmse(x, y) == pytest.approx((squares / 40) ** 0.5)


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_logistic_is_recovered_on_any_scale(scale: float) -> None:
    x = scale * RNG.normal(3.0, 1.0, 80)
    y = 10 + 80 / (1 + np.exp(-(x - 2.8 * scale) / (0.6 * scale)))
    found = metrics.fit_logistic(x, y)
    assert found.converged
    assert [found.b1, found.b2] == pytest.approx([90, 10], rel=1e-4)
    assert [found.b3, abs(found.b4)] == pytest.approx([2.8 * scale, 0.6 * scale], rel=1e-4)
    assert found(x) == pytest.approx(y, abs=1e-3)


def test_logistic_follows_the_formula() -> None:
    curve = Logistic(90.0, 10.0, 0.5, -0.2, converged=True)
    x = np.array([-1.0, 0.5, 0.9])
    expected = (90 - 10) / (1 + np.exp(-(x - 0.5) / 0.2)) + 10
    assert curve(x) == pytest.approx(expected)
    assert np.isfinite(curve([-1e6, 1e6])).all()


@pytest.mark.parametrize("seed", range(5))
def test_fit_is_a_minimum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(50, 15, 60)
    y = 100 / (1 + np.exp(-(x - 45) / 12)) + rng.normal(0, 8, 60)
    found = metrics.fit_logistic(x, y)
    b = np.array([found.b1, found.b2, found.b3, found.b4])
    error = metrics.rmse(found(x), y)
    for parameter in range(4):
        for factor in (0.98, 1.02):
            b1, b2, b3, b4 = np.where(np.arange(4) == parameter, factor * b, b)
            assert metrics.rmse(Logistic(b1, b2, b3, b4, converged=True)(x), y) > error
    assert metrics.measure(x, y).rmse == error
    assert metrics.measure(x, y).plcc >= metrics.plcc(x, y)


@pytest.mark.parametrize("shape", ["line", "exponential", "step", "falling", "noise"])
def test_no_shape_of_data_causes_warnings_or_lower_plcc(shape: str) -> None:
    x = np.linspace(0, 100, 50)
    y = {
        "line": 3 * x + 1,
        "exponential": np.exp(x / 20),
        "step": (x > 40).astype(float),
        "falling": -x + RNG.normal(0, 5, 50),
        "noise": RNG.normal(0, 1, 50),
    }[shape]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measured = metrics.measure(x, y)
    assert measured.logistic.converged
    assert measured.plcc >= abs(metrics.plcc(x, y)) - 1e-6
    assert np.sign(measured.srcc) == -1 if shape == "falling" else True


@pytest.mark.parametrize("shape", ["line", "exponential", "step"])
@pytest.mark.parametrize("sign", [-1, 1])
def test_noisy_shapes_are_fitted_at_least_as_well_as_by_a_line(shape: str, sign: int) -> None:
    """The fit succeeds for few and many videos, with scores and labels on different scales."""
    rng = np.random.default_rng(7)
    for number in (6, 12, 200):
        for _ in range(10):
            x = rng.uniform(1, 5, number)
            clean = {"line": 10 * x, "exponential": np.exp(x), "step": 40.0 * (x > 3)}[shape]
            y = 50 + sign * clean + rng.normal(0, 0.3 * clean.std(), number)
            measured = metrics.measure(x, y)
            assert measured.logistic.converged
            assert measured.logistic.b4 > 0
            assert measured.plcc >= abs(metrics.plcc(x, y)) - 2e-3


def test_too_few_points_are_reported() -> None:
    measured = metrics.measure([1, 2, 3, 4], [10, 20, 25, 50])
    assert not measured.logistic.converged
    assert "fewer than 5" in measured.logistic.reason
    assert measured.plcc == pytest.approx(metrics.plcc([1, 2, 3, 4], [10, 20, 25, 50]))
    assert measured.srcc == pytest.approx(1.0)
    assert measured.n == 4
    with pytest.raises(ValueError, match="fewer than 5"):
        measured.logistic([1.0])


def test_constant_scores_and_constant_mos_are_reported() -> None:
    mos = np.arange(8.0)
    # Differences of the size of float32 rounding errors are no order.
    for scores in (np.full(8, 0.5), np.full(8, 50.0) + 1e-6 * (np.arange(8) % 2)):
        measured = metrics.measure(scores, mos)
        assert measured.logistic.reason == "constant scores"
        assert np.isnan([measured.srcc, measured.plcc, measured.krcc]).all()
        assert measured.rmse == pytest.approx(metrics.rmse(scores, mos))
    measured = metrics.measure(mos, np.full(8, 3.0))
    assert measured.logistic.reason == "constant MOS"
    assert np.isnan(measured.srcc)


def test_no_convergence_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MAX_EVALUATIONS", 2)
    x = RNG.normal(0, 1, 30)
    y = 3 * x + 1
    measured = metrics.measure(x, y)
    assert measured.logistic.reason == "no convergence in 2 evaluations"
    assert measured.plcc == metrics.plcc(x, y)
    assert measured.rmse == metrics.rmse(x, y)


@pytest.mark.parametrize(
    ("scores", "mos", "message"),
    [
        ([1.0, np.nan], [1.0, 2.0], "1 of 2 scores are not finite"),
        ([1.0, 2.0], [np.inf, 2.0], "1 of 2 MOS are not finite"),
        ([1.0, 2.0], [1.0], "same length"),
        ([], [], "same length"),
    ],
)
def test_invalid_input_is_an_error(scores: list[float], mos: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metrics.measure(scores, mos)


@pytest.mark.parametrize(("number", "agreement"), [(42, 0.4), (42, 0.6), (117, 0.5)])
def test_weak_agreement_is_fitted_as_well_as_by_a_fine_grid(number: int, agreement: float) -> None:
    """There are many minima; the grid tries centres and widths one by one, with asymptotes by lstsq."""
    rng = np.random.default_rng(11)
    for _ in range(4):
        x = rng.normal(0, 1, number)
        y = agreement * x + np.sqrt(1 - agreement**2) * rng.normal(0, 1, number)
        best = np.inf
        for centre in np.linspace(x.min(), x.max(), 80):
            for width in np.exp(np.linspace(-5, 2, 20)):
                s = 1 / (1 + np.exp(np.clip(-(x - centre) / width, -500, 500)))
                design = np.stack([s, 1 - s], axis=1)
                residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
                best = min(best, float(np.sqrt(np.mean(residual**2))))
        assert metrics.rmse(metrics.fit_logistic(x, y)(x), y) <= best * (1 + 1e-4)


@pytest.mark.parametrize("sign", [1, -1])
def test_rounding_of_a_cost_does_not_choose_the_fit(
    monkeypatch: pytest.MonkeyPatch, sign: int
) -> None:
    # A step fits these best, wherever it is between two of the scores.
    x = [-11.4630953, -1.04821574, 21.9090754, 11.1387006, 29.8842431, 37.1098544, 6.34702918]
    x.append(46.2559568)
    y = np.arange(10.0, 34.0, 3.0)
    expected = metrics.fit_logistic(x, y)
    fits = iter(range(100))

    def rounded(*args: Any, **kwargs: Any) -> Any:
        fit = least_squares(*args, **kwargs)
        # Rising or falling in the order of the fits.
        fit.cost *= 1 + sign * 1e-12 * next(fits)
        return fit

    monkeypatch.setattr(metrics, "least_squares", rounded)
    assert metrics.fit_logistic(x, y) == expected
