"""The SVR baseline: learning, tuning without the test set, and pooling."""

from typing import Any

import numpy as np
import pytest
from sklearn.svm import SVR

from a2inet_jax.errors import DataError
from a2inet_jax.evaluation import baselines
from a2inet_jax.metrics import srcc


def make_problem(videos: int = 120, width: int = 60, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    groups = np.array([f"c{i // 6}" for i in range(videos)])
    factors = rng.normal(size=(videos, 4))
    content = rng.normal(size=(videos // 6, width)).repeat(6, axis=0)
    signal = factors @ rng.normal(size=(4, width))
    features = signal + content + 0.3 * rng.normal(size=(videos, width))
    mos = 60 + 25 * np.tanh(factors[:, 0] + 0.5 * factors[:, 1])
    return {"features": features, "mos": mos, "groups": groups}


def test_svr_learns() -> None:
    problem = make_problem()
    scores = baselines.svr_scores(**problem, train=np.arange(90), seed=0)
    assert scores.shape == (120,)
    assert srcc(scores[90:], problem["mos"][90:]) > 0.8
    assert np.abs(scores[90:] - problem["mos"][90:]).mean() < 10  # in the unit of the labels


def test_scores_are_deterministic_and_independent_of_the_test_set() -> None:
    problem = make_problem()
    train = np.arange(90)
    first = baselines.svr_scores(**problem, train=train, seed=1)
    problem["mos"] = np.concatenate([problem["mos"][:90], np.full(30, np.nan)])
    problem["features"] = problem["features"].copy()
    again = baselines.svr_scores(**problem, train=train, seed=1)
    np.testing.assert_array_equal(first, again)
    # Nor do the features of the test set matter, which must not reach the scaler.
    problem["features"][100:] += 1e3
    moved = baselines.svr_scores(**problem, train=train, seed=1)
    np.testing.assert_allclose(first[:100], moved[:100], rtol=1e-9)


def test_scores_are_independent_of_the_scale_of_features_and_labels() -> None:
    problem = make_problem()
    first = baselines.svr_scores(**problem, train=np.arange(90), seed=0)
    problem["features"] = problem["features"] * np.linspace(0.01, 100, 60) + 5
    problem["mos"] = 0.01 * problem["mos"] + 7
    again = baselines.svr_scores(**problem, train=np.arange(90), seed=0)
    np.testing.assert_allclose(again, 0.01 * first + 7, atol=1e-4)


def test_kernel_grid_equals_the_kernel_of_sklearn() -> None:
    problem = make_problem()
    x, y = problem["features"], problem["mos"]
    scores = baselines._scores(x[:90], y[:90], x[90:], (1.0, 16.0), (0.25, 1.0))
    u = (x - x[:90].mean(0)) / x[:90].std(0)
    v = (y[:90] - y[:90].mean()) / y[:90].std()
    for c, c_value in enumerate((1.0, 16.0)):
        for g, gamma in enumerate((0.25, 1.0)):
            svr = SVR(C=c_value, gamma=gamma / x.shape[1], epsilon=baselines.EPSILON)
            svr.fit(u[:90], v)
            expected = svr.predict(u[90:]) * y[:90].std() + y[:90].mean()
            np.testing.assert_allclose(scores[c, g], expected, atol=0.05)


def test_folds_do_not_share_contents(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = make_problem()
    contents = {tuple(row): group for row, group in zip(problem["features"], problem["groups"])}
    fits = []
    original = baselines._scores

    def record(x: Any, y: Any, queries: Any, *grid: Any) -> Any:
        fits.append(({contents[tuple(r)] for r in x}, {contents[tuple(r)] for r in queries}))
        return original(x, y, queries, *grid)

    monkeypatch.setattr(baselines, "_scores", record)
    baselines.svr_scores(**problem, train=np.arange(90), seed=0)
    *folds, last = fits
    assert len(folds) == baselines.MAX_FOLDS
    trained = set(problem["groups"][:90])
    for fit, held_out in folds:
        assert not fit & held_out
        assert fit | held_out == trained
    assert last[0] == trained


def test_too_few_contents_or_label_values_are_an_error() -> None:
    problem = make_problem()
    with pytest.raises(DataError, match="two contents"):
        baselines.svr_scores(**problem, train=np.arange(6), seed=0)
    problem["mos"] = np.full(120, 3.0)
    with pytest.raises(DataError, match="same label"):
        baselines.svr_scores(**problem, train=np.arange(90), seed=0)


def test_pooling_is_the_mean_over_frames() -> None:
    rng = np.random.default_rng(0)
    videos = [
        (rng.normal(size=(n, 2)).astype(np.float16), rng.normal(size=(n, 4)).astype(np.float16))
        for n in (5, 1, 3)
    ]
    found = baselines.mean_pool(iter(videos))
    assert found.shape == (3, 6)
    for row, video in zip(found, videos):
        for start, stream in ((0, video[0]), (2, video[1])):
            for k in range(stream.shape[1]):
                mean = sum(float(frame[k]) for frame in stream) / len(stream)
                assert row[start + k] == pytest.approx(mean)
