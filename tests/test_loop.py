"""A split trained from end to end: what it learns, keeps, refuses and resumes."""

import dataclasses
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest

from a2inet_jax.model.a2inet import A2INet
from a2inet_jax.training import history, parallel
from a2inet_jax.training.loop import DivergedError, Trained, predict, train_split
from a2inet_jax.training.settings import EpochRule, Settings
from tests.training_inputs import MeanPooling, make_features, make_split

FEATURES = make_features()
SPLIT = make_split(FEATURES)
SETTINGS = Settings(learning_rate=3e-2, batch_size=4, epochs=7, checkpoint_every=2)


def train(
    folder: Path,
    settings: Settings = SETTINGS,
    index: int = 0,
    on_epoch: Callable[[int], None] = lambda _: None,
) -> Trained:
    return train_split(MeanPooling(), FEATURES, SPLIT, settings, folder, index, on_epoch)


def assert_same(one: Trained, other: Trained) -> None:
    """Bit for bit."""
    jax.tree.map(np.testing.assert_array_equal, one.params, other.params)
    assert one.history == other.history
    assert (one.epoch, one.label_range) == (other.epoch, other.label_range)


def kill_at(epoch: int) -> Callable[[int], None]:
    def on_epoch(done: int) -> None:
        if done == epoch:
            raise KeyboardInterrupt

    return on_epoch


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trained, list[int]]:
    """A training that nothing disturbed, with its folder and what `on_epoch` was told."""
    told: list[int] = []
    folder = tmp_path_factory.mktemp("whole")
    return folder, train(folder, on_epoch=told.append), told


def test_it_learns_and_predicts_in_the_labels_scale(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, epochs=40, epoch_rule="last", checkpoint_every=40)
    trained = train(tmp_path, settings)
    assert trained.history[-1]["train_loss"] < 0.2 * trained.history[0]["train_loss"]  # type: ignore[operator]
    rows = FEATURES.rows(SPLIT.train)
    assert trained.label_range == (FEATURES.mos[rows].min(), FEATURES.mos[rows].max())
    predictions = predict(MeanPooling(), trained, FEATURES, rows, batch_size=5)
    assert np.abs(predictions.score - FEATURES.mos[rows]).mean() < 0.05 * np.ptp(FEATURES.mos[rows])
    # The stand-in's score is the mean of its frame scores, and the scale's map is linear.
    mask = FEATURES.mask[rows]
    means = predictions.frame_scores.sum(axis=1) / mask.sum(axis=1)
    np.testing.assert_allclose(means, predictions.score, rtol=1e-5)
    np.testing.assert_array_equal(predictions.frame_scores[~mask], 0)


def test_history_table_and_curves_agree(whole: tuple[Path, Trained, list[int]]) -> None:
    folder, trained, told = whole
    assert told == list(range(8))
    assert [record["epoch"] for record in trained.history] == list(range(1, 8))
    lines = (folder / "metrics.csv").read_text().splitlines()
    assert lines[0].split(",") == ["split", *history.COLUMNS]
    for line, record in zip(lines[1:], trained.history, strict=True):
        assert [float(x) for x in line.split(",")] == [0, *record.values()]
    events = list((folder / "tensorboard" / "split_00").glob("events.*"))
    assert len(events) == 1
    assert b"val_srcc" in events[0].read_bytes()


def test_best_epoch_has_the_best_parameters(whole: tuple[Path, Trained, list[int]]) -> None:
    _, trained, _ = whole
    values = [record["val_srcc"] for record in trained.history]
    assert trained.epoch == values.index(max(values)) + 1  # type: ignore[type-var]
    rows = FEATURES.rows(SPLIT.validation)
    score = predict(MeanPooling(), trained, FEATURES, rows).score
    assert history.correlations(score, FEATURES.mos[rows])[0] == pytest.approx(
        values[trained.epoch - 1]
    )


@pytest.mark.parametrize("rule", ["last", "best_test"])
def test_other_epoch_rules_change_the_choice_alone(
    whole: tuple[Path, Trained, list[int]], tmp_path: Path, rule: EpochRule
) -> None:
    trained = train(tmp_path, dataclasses.replace(SETTINGS, epoch_rule=rule))
    assert trained.history == whole[1].history
    values = [record["test_srcc"] for record in trained.history]
    assert trained.epoch == (7 if rule == "last" else values.index(max(values)) + 1)  # type: ignore[type-var]


def test_the_same_seed_gives_the_same_and_another_does_not(
    whole: tuple[Path, Trained, list[int]], tmp_path: Path
) -> None:
    assert_same(train(tmp_path / "same"), whole[1])
    other = train(tmp_path / "other", dataclasses.replace(SETTINGS, seed=1))
    assert other.history != whole[1].history


def test_real_model_with_no_validation_part(tmp_path: Path) -> None:
    settings = Settings(learning_rate=1e-2, batch_size=6, epochs=8, epoch_rule="last")
    split = make_split(FEATURES, validation=0)
    model = A2INet(width=8, neck=8, hidden=4)
    trained = train_split(model, FEATURES, split, settings, tmp_path, 3, lambda _: None)
    assert trained.history[-1]["train_loss"] < 0.7 * trained.history[0]["train_loss"]  # type: ignore[operator]
    assert trained.history[0]["val_srcc"] is None
    assert isinstance(trained.history[0]["test_srcc"], float)


def test_splits_of_other_sizes_share_the_compiled_programs(tmp_path: Path) -> None:
    model = MeanPooling(width=5)
    programs = parallel._jit_step._cache_size  # type: ignore[attr-defined]
    before = programs()
    for index, size in enumerate((13, 11, 9)):
        split = make_split(FEATURES, train=size)
        train_split(model, FEATURES, split, SETTINGS, tmp_path, index, lambda _: None)
    assert programs() == before + 1


@pytest.mark.parametrize("epoch", [1, 2, 5, 7])
def test_interrupted_ends_like_undisturbed(
    whole: tuple[Path, Trained, list[int]], tmp_path: Path, epoch: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, on_epoch=kill_at(epoch))
    told: list[int] = []
    assert_same(train(tmp_path, on_epoch=told.append), whole[1])
    assert told == list(range(epoch - epoch % 2 if epoch < 7 else 7, 8))
    assert (tmp_path / "metrics.csv").read_bytes() == (whole[0] / "metrics.csv").read_bytes()


def test_complete_split_is_read_back_without_training(
    whole: tuple[Path, Trained, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("a2inet_jax.training.parallel.runner", None)
    told: list[int] = []
    again = train_split(MeanPooling(), make_features(), SPLIT, SETTINGS, whole[0], 0, told.append)
    assert told == [7]
    assert_same(again, whole[1])


SCRIPT = """
import sys
from pathlib import Path
from tests import test_loop
test_loop.train(Path(sys.argv[1]), test_loop.LONGER, on_epoch=lambda done: print(done, flush=True))
"""
LONGER = dataclasses.replace(SETTINGS, epochs=60, checkpoint_every=3)


def test_sigkill_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    folder, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    random = np.random.default_rng(0)
    starts = []
    for epoch in (8, 30):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
            assert child.stdout is not None
            starts.append(int(child.stdout.readline()))
            while int(child.stdout.readline()) < epoch:
                pass
            time.sleep(random.uniform(0, 0.05))
            child.send_signal(signal.SIGKILL)
        assert child.returncode == -signal.SIGKILL
        for line in (folder / "metrics.csv").read_text().splitlines():
            assert line.count(",") == len(history.COLUMNS)
    told: list[int] = []
    resumed = train(folder, LONGER, on_epoch=told.append)
    assert starts[0] == 0
    assert 0 < starts[1] < told[0] < 60
    assert_same(resumed, train(undisturbed, LONGER))
    assert (folder / "metrics.csv").read_bytes() == (undisturbed / "metrics.csv").read_bytes()
    assert not list((folder / "checkpoints" / "split_00").glob("*tmp*"))


# Orbax leaves reads in flight when one of them fails.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("harm", ["empty", "flipped", "missing"])
def test_damaged_newest_checkpoint_is_named_and_the_one_before_used(
    whole: tuple[Path, Trained, list[int]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    harm: str,
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, on_epoch=kill_at(5))
    newest = tmp_path / "checkpoints" / "split_00" / "4"
    for path in [p for p in (newest / "state").rglob("*") if p.is_file()]:
        content = bytearray(path.read_bytes())
        if harm == "missing":
            path.unlink()
        elif harm == "empty":
            path.write_bytes(b"")
        elif path.parent.name == "d":
            middle = len(content) // 2
            content[middle : middle + 64] = bytes(64)
            path.write_bytes(content)
    told: list[int] = []
    with caplog.at_level(logging.WARNING, "a2inet_jax"):
        resumed = train(tmp_path, on_epoch=told.append)
    assert told[0] == 2
    (warning,) = [r.getMessage() for r in caplog.records if r.name.startswith("a2inet_jax")]
    assert str(newest) in warning
    assert (newest.parent / "4.damaged").is_dir()
    assert_same(resumed, whole[1])


def test_all_checkpoints_damaged_starts_over(
    whole: tuple[Path, Trained, list[int]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, on_epoch=kill_at(5))
    for name in ("2", "4"):
        (tmp_path / "checkpoints" / "split_00" / name / "state" / "_METADATA").unlink()
    told: list[int] = []
    assert_same(train(tmp_path, on_epoch=told.append), whole[1])
    assert told == list(range(8))
    assert len([r for r in caplog.records if r.name.startswith("a2inet_jax")]) == 2
    assert_same(train(tmp_path), whole[1])  # the new checkpoints are read, not the old


def test_folder_of_another_training_is_refused(whole: tuple[Path, Trained, list[int]]) -> None:
    folder, _, _ = whole

    def refused(expected: str, **changes: object) -> None:
        arguments = {"model": MeanPooling(), "features": FEATURES, "split": SPLIT}
        arguments |= {"settings": SETTINGS, "folder": folder, "split_index": 0} | changes
        with pytest.raises(ValueError, match=expected) as error:
            train_split(**arguments, on_epoch=lambda _: None)  # type: ignore[arg-type]
        assert str(folder) in str(error.value)

    rate = dataclasses.replace(SETTINGS, learning_rate=1e-3, weight_decay=0.1)
    refused(
        r"settings.learning_rate \(0.03 there, 0.001 now\); settings.weight_decay", settings=rate
    )
    refused(r"model.width \(8 there, 9 now\)", model=MeanPooling(width=9))
    refused("model .*'MeanPooling' there, 'A2INet' now", model=A2INet())
    refused("features", features=make_features(seed=1))
    refused(r"split.train \(13 videos there, 12 videos now\)", split=make_split(FEATURES, train=12))


def test_unreadable_settings_are_named(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / "split_00" / "settings.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(ValueError, match=r"settings\.json cannot be read"):
        train(tmp_path)


def test_settings_are_written_beside_the_checkpoints(
    whole: tuple[Path, Trained, list[int]],
) -> None:
    folder = whole[0] / "checkpoints" / "split_00"
    found = json.loads((folder / "settings.json").read_text())
    assert found["settings.learning_rate"] == 3e-2
    assert found["split.test"] == list(SPLIT.test)
    # The two latest: every second epoch, and the last.
    assert sorted(p.name for p in folder.iterdir() if p.is_dir()) == ["6", "7"]


def test_loss_that_is_not_finite_stops_with_split_and_epoch(tmp_path: Path) -> None:
    features = make_features()
    features.streams[0][2, 0, 0] = np.inf
    with pytest.raises(DivergedError, match="split 4, epoch 1"):
        train_split(MeanPooling(), features, SPLIT, SETTINGS, tmp_path, 4, lambda _: None)


@pytest.mark.parametrize("rule", ["best_val", "best_test"])
def test_rule_needs_videos_to_choose_by(tmp_path: Path, rule: EpochRule) -> None:
    settings = dataclasses.replace(SETTINGS, epoch_rule=rule)
    split = make_split(FEATURES, train=13, validation=0 if rule == "best_val" else 10)
    with pytest.raises(ValueError, match=f"split 1: epoch_rule '{rule}'"):
        train_split(MeanPooling(), FEATURES, split, settings, tmp_path, 1, lambda _: None)


def test_labels_all_alike_are_refused(tmp_path: Path) -> None:
    features = dataclasses.replace(FEATURES, mos=np.full(len(FEATURES.ids), 3.0))
    with pytest.raises(ValueError, match=r"split 0: all labels .* are 3.0"):
        train_split(MeanPooling(), features, SPLIT, SETTINGS, tmp_path, 0, lambda _: None)
