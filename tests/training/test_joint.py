"""Joint training of several runs as one program."""

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
from tests.training_inputs import MeanPooling, make_data, make_members

CONFIG = Train(learning_rate=3e-2, batch_size=4, epochs=4, num_buckets=2)


@pytest.fixture
def runs() -> dict[str, RunInputs]:
    # Two runs with the same ids and splits, and features of different lengths.
    short, long = make_data(seed=1, longest=4), make_data(seed=2, longest=19)
    return {
        "short/a2inet": RunInputs(short, tuple(make_members(short))),
        "long/a2inet": RunInputs(long, tuple(make_members(long))),
    }


def test_each_run_ends_where_it_ends_alone(runs: dict[str, RunInputs], tmp_path: Path) -> None:
    model = MeanPooling()
    together = train_together(model, runs, CONFIG, tmp_path / "both", Callbacks())
    for name, run in runs.items():
        alone = loop.train(model, run.data, run.members, CONFIG, tmp_path / name)
        scores = predict(model, run.data, run.members, alone, CONFIG)
        found = together[name]
        for a, b in zip(found.trained, alone, strict=True):
            jax.tree.map(
                lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), a.params, b.params
            )
            assert (a.epoch, a.label_range) == (b.epoch, b.label_range)
        for x, y in zip(found.scores, scores, strict=True):
            np.testing.assert_allclose(x, y, rtol=0, atol=1e-4)  # labels span several tens
        tables = [tmp_path / subfolder / name / "metrics.csv" for subfolder in ("both", "")]
        one, other = ([*csv.reader(table.read_text().splitlines())] for table in tables)
        assert one[0] == other[0]
        for row, expected in zip(one[1:], other[1:], strict=True):
            np.testing.assert_allclose(
                [float(x or "nan") for x in row], [float(x or "nan") for x in expected], atol=1e-5
            )
        assert (tmp_path / "both" / name / "tensorboard").is_dir()


def test_finished_runs_are_read_back_and_other_runs_have_their_own_checkpoints(
    runs: dict[str, RunInputs], tmp_path: Path
) -> None:
    first = train_together(MeanPooling(), runs, CONFIG, tmp_path, Callbacks())
    others = {name.replace("/", "-other/"): run for name, run in runs.items()}
    train_together(MeanPooling(), others, CONFIG, tmp_path, Callbacks())
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
    again = train_together(MeanPooling(), runs, CONFIG, tmp_path, Callbacks())
    for name in runs:
        for x, y in zip(first[name].scores, again[name].scores, strict=True):
            np.testing.assert_array_equal(x, y)


def test_features_that_differ_in_width_are_refused(
    runs: dict[str, RunInputs], tmp_path: Path
) -> None:
    wide = TrainingData.of_arrays(["v"], [(np.zeros((2, 7)), np.zeros((2, 4)))], [1.0])
    runs["wide/a2inet"] = RunInputs(wide, ())
    with pytest.raises(
        ValueError, match=r"widths \[\(6, 4\), \(6, 4\), \(7, 4\)\] cannot be concatenated"
    ):
        train_together(MeanPooling(), runs, CONFIG, tmp_path, Callbacks())
