"""Joint training: the members of several runs as one program."""

import csv
from pathlib import Path

import jax
import numpy as np
import pytest

from a2inet_jax.config import Train
from a2inet_jax.training import loop
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.members import Member, TrainedMember, join
from tests.training_inputs import MeanPooling, make_data, make_members, predict_tests

CONFIG = Train(learning_rate=3e-2, batch_size=4, epochs=4, num_buckets=2)
MODEL = MeanPooling()
Runs = dict[str, tuple[TrainingData, list[Member]]]
Outcomes = dict[str, tuple[list[TrainedMember], list[np.ndarray]]]


def train_together(runs: Runs, folder: Path) -> Outcomes:
    """Return each run's trained members and their scores."""
    data, members = join(runs)
    trained = loop.train(MODEL, data, members, CONFIG, folder)
    scores = predict_tests(MODEL, data, members, trained, CONFIG)
    outcomes = {}
    for name, (_, own) in runs.items():
        of_run = [s for s, member in enumerate(members) if member.group == name]
        assert len(of_run) == len(own)
        outcomes[name] = [trained[s] for s in of_run], [scores[s] for s in of_run]
    return outcomes


@pytest.fixture(scope="module")
def runs() -> Runs:
    # Two runs with the same ids and splits, and features of different lengths.
    short, long = make_data(seed=1, longest=4), make_data(seed=2, longest=19)
    return {
        "short/a2inet": (short, make_members(short)),
        "long/a2inet": (long, make_members(long)),
    }


@pytest.fixture(scope="module")
def together(runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcomes]:
    folder = tmp_path_factory.mktemp("both")
    return folder, train_together(runs, folder)


def test_each_run_ends_where_it_ends_alone(
    runs: Runs, together: tuple[Path, Outcomes], tmp_path: Path
) -> None:
    both, outcomes = together
    for name, (data, members) in runs.items():
        alone = loop.train(MODEL, data, members, CONFIG, tmp_path / name)
        scores = predict_tests(MODEL, data, members, alone, CONFIG)
        trained, found = outcomes[name]
        for a, b in zip(trained, alone, strict=True):
            jax.tree.map(
                lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), a.params, b.params
            )
            assert (a.epoch, a.label_range) == (b.epoch, b.label_range)
        for x, y in zip(found, scores, strict=True):
            np.testing.assert_allclose(x, y, rtol=0, atol=1e-4)  # labels span several tens
        tables = [folder / name / "history.csv" for folder in (both, tmp_path)]
        one, other = ([*csv.reader(table.read_text().splitlines())] for table in tables)
        assert one[0] == other[0]
        for row, expected in zip(one[1:], other[1:], strict=True):
            np.testing.assert_allclose(
                [float(x or "nan") for x in row], [float(x or "nan") for x in expected], atol=1e-5
            )
        assert (both / name / "tensorboard").is_dir()


def test_finished_runs_are_read_back_and_other_runs_have_their_own_checkpoints(
    runs: Runs, together: tuple[Path, Outcomes]
) -> None:
    folder, first = together
    others = {name.replace("/", "-other/"): run for name, run in runs.items()}
    train_together(others, folder)
    assert len(list((folder / "checkpoints").iterdir())) == 2
    again = train_together(runs, folder)
    for name in runs:
        for x, y in zip(first[name][1], again[name][1], strict=True):
            np.testing.assert_array_equal(x, y)


def test_features_that_differ_in_width_are_refused(runs: Runs) -> None:
    wide = TrainingData.of_arrays(["v"], [(np.zeros((2, 7)), np.zeros((2, 4)))], [1.0])
    with pytest.raises(
        ValueError, match=r"widths \[\(6, 4\), \(6, 4\), \(7, 4\)\] cannot be concatenated"
    ):
        join({**runs, "wide/a2inet": (wide, [])})
