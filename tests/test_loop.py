"""Members trained from end to end: what they learn and keep."""

import dataclasses
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
from a2inet_jax.training.predict import predict
from tests.training_inputs import (
    FEATURES,
    MEMBERS,
    SETTINGS,
    STEPS,
    MeanPooling,
    Whole,
    assert_close,
    assert_same,
    make_features,
    make_members,
    make_split,
    train,
    undisturbed,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return undisturbed(tmp_path_factory.mktemp("whole"))


def test_it_learns_and_predicts_in_the_labels_scale(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, epochs=40, epoch_rule="last", checkpoint_epochs=40)
    train_ids = tuple(FEATURES.ids[:13])
    split = dataclasses.replace(make_split(FEATURES), test=train_ids)  # tests what it has learnt
    members = [Member(0, 0, split)]
    trained = train(tmp_path, settings, members)
    (one,) = trained
    assert one.history[-1]["train_loss"] < 0.2 * one.history[0]["train_loss"]  # type: ignore[operator]
    mos = FEATURES.mos[:13]
    assert one.label_range == (mos.min(), mos.max())
    (score,) = predict(MeanPooling(), FEATURES, members, trained, settings)
    assert np.abs(score - mos).mean() < 0.05 * np.ptp(mos)


def test_history_table_and_curves_agree(whole: Whole) -> None:
    folder, trained, told = whole
    assert told == list(range(0, 7 * STEPS + 1, STEPS))
    lines = (folder / "metrics.csv").read_text().splitlines()
    assert lines[0].split(",") == ["split", "seed", *history.COLUMNS]
    rows = iter(lines[1:])
    for number, one in enumerate(trained):
        assert [record["epoch"] for record in one.history] == list(range(1, 8))
        for record in one.history:
            assert [float(x) for x in next(rows).split(",")] == [number, 0, *record.values()]
        (events,) = (folder / "tensorboard" / f"split_0{number}_seed_0").glob("events.*")
        assert b"val_srcc" in events.read_bytes()


def test_best_epoch_has_the_best_parameters(whole: Whole, tmp_path: Path) -> None:
    _, trained, _ = whole
    for number, one in enumerate(trained):  # what is kept is what stood at the end of that epoch
        shorter = dataclasses.replace(SETTINGS, epochs=one.epoch, epoch_rule="last")
        stopped = train(tmp_path / str(number), shorter)[number]
        jax.tree.map(np.testing.assert_array_equal, one.params, stopped.params)
    # Of the validation part as if it were the test part.
    members = [
        dataclasses.replace(r, split=dataclasses.replace(r.split, test=r.split.validation))
        for r in MEMBERS
    ]
    scores = predict(MeanPooling(), FEATURES, members, trained, SETTINGS)
    for one, member, score in zip(trained, members, scores):
        values = [record["val_srcc"] for record in one.history]
        assert one.epoch == values.index(max(values)) + 1  # type: ignore[type-var]
        found, _ = history.correlations(score, FEATURES.mos[FEATURES.rows(member.split.test)])
        assert found == pytest.approx(values[one.epoch - 1])
    assert len({one.epoch for one in trained}) > 1  # or the members would share their choice


@pytest.mark.parametrize("rule", ["last", "best_test"])
def test_other_epoch_rules_change_the_choice_alone(
    whole: Whole, tmp_path: Path, rule: EpochRule
) -> None:
    trained = train(tmp_path, dataclasses.replace(SETTINGS, epoch_rule=rule))
    for one, before in zip(trained, whole[1]):
        assert one.history == before.history
        values = [record["test_srcc"] for record in one.history]
        assert one.epoch == (7 if rule == "last" else values.index(max(values)) + 1)  # type: ignore[type-var]


def test_a_replica_ends_where_it_ends_alone(whole: Whole, tmp_path: Path) -> None:
    alone = [train(tmp_path, members=[member])[0] for member in MEMBERS]
    assert_close(whole[1], alone, 1e-6)
    assert (tmp_path / "metrics.csv").read_text().count("\n") == 1 + 3 * 7


def test_seeds_are_replicas_too(whole: Whole, tmp_path: Path) -> None:
    members = [dataclasses.replace(MEMBERS[0], seed=seed) for seed in (0, 1)]
    same, other = train(tmp_path, members=members)
    assert_close([same], whole[1][:1], 1e-6)
    assert other.history != same.history


def test_the_same_seed_gives_the_same(whole: Whole, tmp_path: Path) -> None:
    assert_same(train(tmp_path), whole[1])


@pytest.mark.parametrize(
    "changes",
    [
        {"placement": "streamed"},
        {"steps_per_call": 1},
        {"steps_per_call": 3},
        {"buckets": 1},
        {"parallel": "pmap"},
        {"parallel": "mesh"},
        {"parallel": "mesh", "placement": "streamed"},
    ],
    ids=str,
)
def test_other_ways_give_the_same_numbers(tmp_path: Path, changes: dict[str, Any]) -> None:
    features = make_features(longest=20)
    members = make_members(features)

    def run(folder: Path, settings: Train) -> list[TrainedMember]:
        return loop.train(MeanPooling(), features, members, settings, folder)

    usual = run(tmp_path / "usual", SETTINGS)
    assert_close(run(tmp_path / "other", dataclasses.replace(SETTINGS, **changes)), usual, 1e-6)


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_the_average_is_what_is_kept(tmp_path: Path, ema: float) -> None:
    settings = dataclasses.replace(SETTINGS, epochs=1, ema_decay=ema, epoch_rule="last")
    (one,) = train(tmp_path, settings, MEMBERS[:1])
    tree = load(tmp_path / "checkpoints" / "splits_00-00_seeds_0-0", STEPS)
    state = tree["state"]
    kept = state["average"] if ema else state["params"]
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[0]), one.params, kept)


def load(folder: Path, step: int) -> Any:
    """A checkpoint's arrays as nested dictionaries."""
    return ocp.load(folder / str(step))


def test_real_model_with_no_validation_part(tmp_path: Path) -> None:
    settings = Train(learning_rate=1e-2, batch_size=6, epochs=8, epoch_rule="last")
    members = [Member(3, 0, make_split(FEATURES, validation=0))]
    model = A2INet(width=8, neck=8, hidden=4)
    (trained,) = loop.train(model, FEATURES, members, settings, tmp_path)
    assert trained.history[-1]["train_loss"] < 0.7 * trained.history[0]["train_loss"]  # type: ignore[operator]
    assert trained.history[0]["val_srcc"] is None
    assert isinstance(trained.history[0]["test_srcc"], float)


def test_few_programs_are_compiled_and_it_says_so(tmp_path: Path) -> None:
    features = make_features(longest=40)
    lines: list[str] = []
    settings = dataclasses.replace(SETTINGS, steps_per_call=1, num_buckets=2)
    members = make_members(features, validation=4)
    watch = Callbacks(say=lines.append)
    loop.train(MeanPooling(width=5), features, members, settings, tmp_path, watch)
    assert lines[0].startswith("features: resident on the device (")
    # Training and scoring, in two lengths each.
    assert lines[-1].startswith("compiled 4 programs in ")


def test_results_are_read_when_the_next_work_is_handed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = parallel.runner("jit", len(MEMBERS))
    events: list[str] = []

    def noted(name: str) -> None:
        before = getattr(runner, name)

        def method(*arguments: Any) -> Any:
            again = name == "score" and events[-1:] == ["score"]  # one for each length
            if not again and (name != "get" or isinstance(arguments[0], Losses)):
                events.append(name)
            return before(*arguments)

        monkeypatch.setattr(runner, name, method)

    for name in ("train", "score", "get"):
        noted(name)
    settings = dataclasses.replace(SETTINGS, epochs=2, steps_per_call=1, num_buckets=1)
    train(tmp_path, settings)
    ahead = ["train", "get"] * (STEPS - 1)
    # Before the last step of an epoch is read, the scoring behind it is under way.
    assert events == ["train", *ahead, "score", "get", "train", *ahead, "score", "get"]
