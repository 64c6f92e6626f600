"""Evaluation of a run's models on another data set."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from a2inet_jax import metrics
from a2inet_jax.config import Train
from a2inet_jax.datasets.splits import Split
from a2inet_jax.errors import RunError
from a2inet_jax.evaluation import cross, protocol
from a2inet_jax.model import ensemble
from a2inet_jax.model.ensemble import Ensemble
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.members import Member
from tests.training_inputs import MeanPooling, make_data

NETWORK = MeanPooling()
RANGES = [(0.0, 100.0), (20.0, 60.0)]
MEMBERS = [Member(index, 3, Split((), (), ())) for index in range(2)]


def make_models(path: Path, features: TrainingData) -> Ensemble:
    """Return two models with different parameters and label ranges, read from a file of training."""
    streams = tuple(np.zeros((1, 2, width), np.float16) for width in features.widths)
    params: list[Any] = [
        NETWORK.init(jax.random.key(seed), streams, np.ones((1, 2), bool))["params"]
        for seed in range(2)
    ]
    ensemble.save(path / "model.safetensors", Ensemble.stack(params, RANGES))
    return ensemble.load(path / "model.safetensors")


def test_every_model_scores_every_video_as_ensemble_scoring_does(tmp_path: Path) -> None:
    features = make_data()
    models = make_models(tmp_path, features)
    settings = Train(batch_size=4, parallel="mesh")
    rows = cross.score_all(models, NETWORK, features, MEMBERS, settings)
    assert [(row.split, row.seed, row.video) for row in rows] == [
        (n, 3, video) for n in range(2) for video in features.ids
    ]
    assert [row.mos for row in rows] == features.mos.tolist() * 2
    found = np.array([row.score for row in rows]).reshape(2, -1)
    for n in range(len(features.ids)):
        score_S, _ = models.scores(NETWORK, features.read(n))
        np.testing.assert_allclose(found[:, n], score_S, rtol=1e-4)
    assert not np.allclose(found[0], found[1])


def test_numbers_of_models_and_members_must_be_equal(tmp_path: Path) -> None:
    features = make_data()
    models = make_models(tmp_path, features)
    with pytest.raises(RunError, match="2 models, but its config asks for 1 ensemble members"):
        cross.score_all(models, NETWORK, features, MEMBERS[:1], Train())


def test_the_logistic_is_fitted_on_the_tested_data_set(tmp_path: Path) -> None:
    features = make_data()
    models = make_models(tmp_path, features)
    rows = cross.score_all(models, NETWORK, features, MEMBERS, Train())
    contents = {video: video for video in features.ids}
    data = protocol.EvaluatedDataset("KoNViD-1k", len(features.ids))
    results = cross.results("vsfa", rows, data, "last", contents, 1, "LSVQ", models.label_ranges)
    assert results["mapping"] == "logistic fitted on KoNViD-1k"
    assert results["trained_on"] == "LSVQ"
    assert results["ranges"]["trained"] == [0.0, 100.0]
    assert results["ranges"]["tested"] == [features.mos.min(), features.mos.max()]
    assert results["paired"] == {}
    measured = [
        metrics.measure([r.score for r in rows if r.split == n], features.mos) for n in range(2)
    ]
    found = results["models"]["vsfa"]
    for name in protocol.METRIC_TITLES:
        values = [getattr(each, name) for each in measured]
        assert found["summary"][name]["median"] == pytest.approx(np.median(values), rel=1e-5)
        assert found["interval"][name][0] < found["interval"][name][1]
    # Another label scale changes no correlation, and RMSE by its factor: nothing depends on the old scale.
    rescaled = [row._replace(mos=row.mos / 10 + 3) for row in rows]
    again = cross.results("vsfa", rescaled, data, "last", contents, 1, "LSVQ", models.label_ranges)[
        "models"
    ]["vsfa"]["summary"]
    for name, factor in {"srcc": 1, "plcc": 1, "krcc": 1, "rmse": 0.1}.items():
        median = found["summary"][name]["median"]
        assert again[name]["median"] == pytest.approx(factor * median, rel=1e-4)
