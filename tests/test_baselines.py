"""The SVR baseline: it learns, it tunes without a look at the test part, and it pools as it says."""

from typing import Any

import numpy as np
import pytest
from sklearn.svm import SVR

from a2inet_jax.evaluation import baselines
from a2inet_jax.evaluation.metrics import srcc


def problem(videos: int = 120, width: int = 60, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    groups = np.array([f"c{i // 6}" for i in range(videos)])
    causes = rng.normal(size=(videos, 4))
    content = rng.normal(size=(videos // 6, width)).repeat(6, axis=0)
    features = (
        causes @ rng.normal(size=(4, width)) + content + 0.3 * rng.normal(size=(videos, width))
    )
    mos = 60 + 25 * np.tanh(causes[:, 0] + 0.5 * causes[:, 1])
    return {"features": features, "mos": mos, "groups": groups}


def test_it_learns() -> None:
    given = problem()
    scores = baselines.svr_scores(**given, train=np.arange(90), seed=0)
    assert scores.shape == (120,)
    assert srcc(scores[90:], given["mos"][90:]) > 0.8
    assert np.abs(scores[90:] - given["mos"][90:]).mean() < 10  # in the labels' unit


def test_same_seed_same_scores_and_test_labels_do_not_matter() -> None:
    given = problem()
    train = np.arange(90)
    first = baselines.svr_scores(**given, train=train, seed=1)
    given["mos"] = np.concatenate([given["mos"][:90], np.full(30, np.nan)])
    given["features"] = given["features"].copy()
    again = baselines.svr_scores(**given, train=train, seed=1)
    np.testing.assert_array_equal(first, again)
    # Nor do the test part's features, which must not reach the scaler.
    given["features"][100:] += 1e3
    moved = baselines.svr_scores(**given, train=train, seed=1)
    np.testing.assert_allclose(first[:100], moved[:100], rtol=1e-9)


def test_scale_of_features_and_labels_does_not_matter() -> None:
    given = problem()
    first = baselines.svr_scores(**given, train=np.arange(90), seed=0)
    given["features"] = given["features"] * np.linspace(0.01, 100, 60) + 5
    given["mos"] = 0.01 * given["mos"] + 7
    again = baselines.svr_scores(**given, train=np.arange(90), seed=0)
    np.testing.assert_allclose(again, 0.01 * first + 7, atol=1e-4)


def test_kernel_grid_equals_sklearns_own_kernel() -> None:
    given = problem()
    x, y = given["features"], given["mos"]
    scores = baselines._scores(x[:90], y[:90], x[90:], (1.0, 16.0), (0.25, 1.0))
    u = (x - x[:90].mean(0)) / x[:90].std(0)
    v = (y[:90] - y[:90].mean()) / y[:90].std()
    for c, cost in enumerate((1.0, 16.0)):
        for g, width in enumerate((0.25, 1.0)):
            machine = SVR(C=cost, gamma=width / x.shape[1], epsilon=baselines.TUBE).fit(u[:90], v)
            expected = machine.predict(u[90:]) * y[:90].std() + y[:90].mean()
            np.testing.assert_allclose(scores[c, g], expected, atol=0.05)


def test_folds_keep_a_content_together(monkeypatch: pytest.MonkeyPatch) -> None:
    given = problem()
    contents = {tuple(row): group for row, group in zip(given["features"], given["groups"])}
    seen = []
    original = baselines._scores

    def spy(x: Any, y: Any, queries: Any, *grid: Any) -> Any:
        seen.append(({contents[tuple(r)] for r in x}, {contents[tuple(r)] for r in queries}))
        return original(x, y, queries, *grid)

    monkeypatch.setattr(baselines, "_scores", spy)
    baselines.svr_scores(**given, train=np.arange(90), seed=0)
    *folds, last = seen
    assert len(folds) == baselines.FOLDS
    trained = set(given["groups"][:90])
    for fit, held in folds:
        assert not fit & held
        assert fit | held == trained
    assert last[0] == trained


def test_too_little_to_tune_on_is_an_error() -> None:
    given = problem()
    with pytest.raises(ValueError, match="two contents"):
        baselines.svr_scores(**given, train=np.arange(6), seed=0)
    given["mos"] = np.full(120, 3.0)
    with pytest.raises(ValueError, match="same label"):
        baselines.svr_scores(**given, train=np.arange(90), seed=0)


def test_pooling_is_the_mean_over_frames() -> None:
    rng = np.random.default_rng(0)
    videos = [
        (rng.normal(size=(n, 2)).astype(np.float16), rng.normal(size=(n, 4)).astype(np.float16))
        for n in (5, 1, 3)
    ]
    found = baselines.pool(iter(videos))
    assert found.shape == (3, 6)
    for row, video in zip(found, videos):
        for place, stream in ((0, video[0]), (2, video[1])):
            for k in range(stream.shape[1]):
                mean = sum(float(frame[k]) for frame in stream) / len(stream)
                assert row[place + k] == pytest.approx(mean)
