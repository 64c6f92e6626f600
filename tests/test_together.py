"""Runs that train as one program end where each ends alone."""

import csv
from pathlib import Path

import jax
import numpy as np
import pytest

from a2inet_jax.config import Train
from a2inet_jax.training import loop
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.joint import RunInputs, train_together
from a2inet_jax.training.loop import Callbacks
from a2inet_jax.training.predict import predict
from tests.training_inputs import MeanPooling, make_features, make_members

SETTINGS = Train(learning_rate=3e-2, batch_size=4, epochs=4, num_buckets=2)


@pytest.fixture
def runs() -> dict[str, RunInputs]:
    # The same ids and splits, as two rows of a table have them, on other features of other lengths.
    few, many = make_features(seed=1, longest=4), make_features(seed=2, longest=19)
    return {
        "few/a2inet": RunInputs(few, tuple(make_members(few))),
        "many/a2inet": RunInputs(many, tuple(make_members(many))),
    }


def test_each_run_ends_where_it_ends_alone(runs: dict[str, RunInputs], tmp_path: Path) -> None:
    model = MeanPooling()
    together = train_together(model, runs, SETTINGS, tmp_path / "both", Callbacks())
    for name, run in runs.items():
        alone = loop.train(model, run.features, run.members, SETTINGS, tmp_path / name)
        scores = predict(model, run.features, run.members, alone, SETTINGS)
        found = together[name]
        for a, b in zip(found.trained, alone, strict=True):
            jax.tree.map(
                lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), a.params, b.params
            )
            assert (a.epoch, a.label_range) == (b.epoch, b.label_range)
        for x, y in zip(found.scores, scores, strict=True):
            np.testing.assert_allclose(x, y, rtol=0, atol=1e-4)  # labels spread over tens
        tables = [tmp_path / where / name / "metrics.csv" for where in ("both", "")]
        one, other = ([*csv.reader(table.read_text().splitlines())] for table in tables)
        assert one[0] == other[0]
        for mine, theirs in zip(one[1:], other[1:], strict=True):
            np.testing.assert_allclose(
                [float(x or "nan") for x in mine], [float(x or "nan") for x in theirs], atol=1e-5
            )
        assert (tmp_path / "both" / name / "tensorboard").is_dir()


def test_it_goes_on_and_other_runs_have_checkpoints_of_their_own(
    runs: dict[str, RunInputs], tmp_path: Path
) -> None:
    first = train_together(MeanPooling(), runs, SETTINGS, tmp_path, Callbacks())
    others = {name.replace("/", "-other/"): run for name, run in runs.items()}
    train_together(MeanPooling(), others, SETTINGS, tmp_path, Callbacks())
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
    again = train_together(MeanPooling(), runs, SETTINGS, tmp_path, Callbacks())  # read back
    for name in runs:
        for x, y in zip(first[name].scores, again[name].scores, strict=True):
            np.testing.assert_array_equal(x, y)


def test_features_that_differ_in_width_are_refused(
    runs: dict[str, RunInputs], tmp_path: Path
) -> None:
    wide = TrainingData.of_arrays(["v"], [(np.zeros((2, 7)), np.zeros((2, 4)))], [1.0])
    runs["wide/a2inet"] = RunInputs(wide, ())
    with pytest.raises(
        ValueError, match=r"widths \[\(6, 4\), \(6, 4\), \(7, 4\)\] can't be joined"
    ):
        train_together(MeanPooling(), runs, SETTINGS, tmp_path, Callbacks())
