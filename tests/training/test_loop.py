"""Training of ensemble members from end to end."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from orbax.checkpoint import v1 as ocp

from a2inet_jax.config import EpochRule, Train
from a2inet_jax.model.a2inet import A2INet
from a2inet_jax.training import history, loop, parallel
from a2inet_jax.training.loop import Callbacks
from a2inet_jax.training.losses import Losses
from a2inet_jax.training.members import Member, TrainedMember
from tests.training_inputs import (
    CONFIG,
    DATA,
    MEMBERS,
    STEPS_PER_EPOCH,
    MeanPooling,
    Uninterrupted,
    assert_close,
    assert_same,
    make_data,
    make_members,
    make_split,
    predict_tests,
    train,
)


def test_member_learns_and_predicts_in_the_scale_of_the_labels(tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, epochs=40, epoch_rule="last", checkpoint_epochs=40)
    train_ids = tuple(DATA.ids[:13])
    split = dataclasses.replace(make_split(DATA), test=train_ids)  # tested on its training set
    members = [Member(0, 0, split)]
    trained = train(tmp_path, config, members)
    first, last = trained[0].history[0], trained[0].history[-1]
    assert last["train_loss"] < 0.2 * first["train_loss"]  # type: ignore[operator]
    mos = DATA.mos[:13]
    assert trained[0].label_range == (mos.min(), mos.max())
    (score,) = predict_tests(MeanPooling(), DATA, members, trained, config)
    assert np.abs(score - mos).mean() < 0.05 * np.ptp(mos)


def test_history_table_and_curves_agree(uninterrupted: Uninterrupted) -> None:
    folder, trained, reported, texts = uninterrupted
    assert texts[0] == ""
    assert re.fullmatch(r"epoch 1/7  loss \d\.\d{4}", texts[1])
    median = np.median([member.history[5]["val_srcc"] for member in trained])
    assert re.fullmatch(
        rf"epoch 7/7  loss \d\.\d{{4}}  SRCC \(val\) {median:.3f}  \d+ videos/s", texts[-1]
    )
    assert reported == list(range(0, 7 * STEPS_PER_EPOCH + 1, STEPS_PER_EPOCH))
    lines = (folder / "history.csv").read_text().splitlines()
    assert lines[0].split(",") == ["split", "seed", *history.COLUMNS]
    rows = iter(lines[1:])
    for split_index, member in enumerate(trained):
        assert [record["epoch"] for record in member.history] == list(range(1, 8))
        for record in member.history:
            assert [float(x) for x in next(rows).split(",")] == [split_index, 0, *record.values()]
        (events,) = (folder / "tensorboard" / f"split_0{split_index}_seed_0").glob("events.*")
        assert b"val_srcc" in events.read_bytes()


def test_parameters_of_the_best_epoch_are_kept(
    uninterrupted: Uninterrupted, tmp_path: Path
) -> None:
    trained = uninterrupted[1]
    # A run that ends with the best epoch has the same parameters.
    for split_index, member in enumerate(trained):
        shorter = dataclasses.replace(CONFIG, epochs=member.epoch, epoch_rule="last")
        stopped = train(tmp_path / str(split_index), shorter)[split_index]
        jax.tree.map(np.testing.assert_array_equal, member.params, stopped.params)
    # Predictions on the validation set, as if it were the test set, have the SRCC of that epoch.
    swapped = [
        dataclasses.replace(m, split=dataclasses.replace(m.split, test=m.split.validation))
        for m in MEMBERS
    ]
    scores = predict_tests(MeanPooling(), DATA, swapped, trained, CONFIG)
    for member, inputs, score in zip(trained, swapped, scores):
        values = [record["val_srcc"] for record in member.history]
        assert member.epoch == values.index(max(values)) + 1  # type: ignore[type-var]
        found, _ = history.correlations(score, DATA.mos[DATA.indices(inputs.split.test)])
        assert found == pytest.approx(values[member.epoch - 1])
    # Otherwise members that share one choice would pass.
    assert len({member.epoch for member in trained}) > 1


@pytest.mark.parametrize("rule", ["last", "best_test"])
def test_epoch_rule_changes_only_the_selected_epoch(
    uninterrupted: Uninterrupted, tmp_path: Path, rule: EpochRule
) -> None:
    trained = train(tmp_path, dataclasses.replace(CONFIG, epoch_rule=rule))
    for member, by_best_val in zip(trained, uninterrupted[1]):
        assert member.history == by_best_val.history
        values = [record["test_srcc"] for record in member.history]
        expected = 7 if rule == "last" else values.index(max(values)) + 1  # type: ignore[type-var]
        assert member.epoch == expected


def test_member_ends_where_it_ends_alone(uninterrupted: Uninterrupted, tmp_path: Path) -> None:
    alone = [train(tmp_path, members=[member])[0] for member in MEMBERS]
    assert_close(uninterrupted[1], alone, 1e-6)
    assert (tmp_path / "history.csv").read_text().count("\n") == 1 + 3 * 7


def test_seeds_are_members_too(uninterrupted: Uninterrupted, tmp_path: Path) -> None:
    members = [dataclasses.replace(MEMBERS[0], seed=seed) for seed in (0, 1)]
    same, other = train(tmp_path, members=members)
    assert_close([same], uninterrupted[1][:1], 1e-6)
    assert other.history != same.history


def test_training_is_deterministic(uninterrupted: Uninterrupted, tmp_path: Path) -> None:
    assert_same(train(tmp_path), uninterrupted[1])


LONG = make_data(longest=20)


def train_long(folder: Path, config: Train) -> list[TrainedMember]:
    return loop.train(MeanPooling(), LONG, make_members(LONG), config, folder)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> list[TrainedMember]:
    return train_long(tmp_path_factory.mktemp("usual"), CONFIG)


@pytest.mark.parametrize(
    "changes",
    [
        {"placement": "streamed"},
        {"steps_per_call": 1},
        {"steps_per_call": 3},
        {"num_buckets": 1},
        {"parallel": "pmap"},
        {"parallel": "mesh"},
        {"parallel": "mesh", "placement": "streamed"},
    ],
    ids=str,
)
def test_execution_options_do_not_change_the_numbers(
    usual: list[TrainedMember], tmp_path: Path, changes: dict[str, Any]
) -> None:
    found = train_long(tmp_path, dataclasses.replace(CONFIG, **changes))
    assert_close(found, usual, 1e-6)


@pytest.mark.parametrize("ema_decay", [0.0, 0.5])
def test_moving_average_is_kept_if_there_is_one(tmp_path: Path, ema_decay: float) -> None:
    config = dataclasses.replace(CONFIG, epochs=1, ema_decay=ema_decay, epoch_rule="last")
    (member,) = train(tmp_path, config, MEMBERS[:1])
    tree = load(tmp_path / "checkpoints" / "splits_00-00_seeds_0-0", STEPS_PER_EPOCH)
    state = tree["state"]
    expected = state["average"] if ema_decay else state["params"]
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[0]), member.params, expected)


def load(folder: Path, step: int) -> Any:
    """Load a checkpoint's arrays as nested dictionaries."""
    return ocp.load(folder / str(step))


def test_a2inet_trains_without_a_validation_set(tmp_path: Path) -> None:
    config = Train(learning_rate=1e-2, batch_size=6, epochs=8, epoch_rule="last")
    members = [Member(3, 0, make_split(DATA, validation=0))]
    model = A2INet(width=8, neck=8, hidden=4, tau=2)
    texts: list[str] = []
    callbacks = Callbacks(lambda text, done, total: texts.append(text))
    (trained,) = loop.train(model, DATA, members, config, tmp_path, callbacks)
    assert "loss" in texts[-1]
    assert not any("SRCC" in text for text in texts)  # that of the test set is not for the eye
    first, last = trained.history[0], trained.history[-1]
    assert last["train_loss"] < 0.7 * first["train_loss"]  # type: ignore[operator]
    assert first["val_srcc"] is None
    assert isinstance(first["test_srcc"], float)


def test_few_programs_are_compiled_and_logged(tmp_path: Path) -> None:
    data = make_data(longest=40)
    lines: list[str] = []
    config = dataclasses.replace(CONFIG, steps_per_call=1, num_buckets=2)
    members = make_members(data, validation=4)
    callbacks = Callbacks(say=lines.append)
    loop.train(MeanPooling(width=5), data, members, config, tmp_path, callbacks)
    assert lines[0].startswith("features: resident on the device (")
    # Training and scoring, for two padded lengths each.
    assert lines[-1].startswith("compiled 4 programs in ")


def test_results_are_read_after_the_next_work_is_dispatched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = parallel.make_runner("jit", len(MEMBERS))
    events: list[str] = []

    def record(name: str) -> None:
        original = getattr(runner, name)

        def method(*arguments: Any) -> Any:
            # Scoring makes one call per padded length; it counts once.
            repeated = name == "score" and events[-1:] == ["score"]
            if not repeated and (name != "get" or isinstance(arguments[0], Losses)):
                events.append(name)
            return original(*arguments)

        monkeypatch.setattr(runner, name, method)

    for name in ("train", "score", "get"):
        record(name)
    config = dataclasses.replace(CONFIG, epochs=2, steps_per_call=1, num_buckets=1)
    train(tmp_path, config)
    ahead = ["train", "get"] * (STEPS_PER_EPOCH - 2)
    # The scoring after an epoch is dispatched before the losses of its last two steps are read, and the next
    # epoch before the scores are.
    epoch = ["train", *ahead, "train", "score", "get"]
    assert events == [*epoch, "train", "get", *epoch[1:], "get"]
