"""Replicas trained from end to end: what they learn, keep, refuse and resume."""

import dataclasses
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from orbax.checkpoint import v1 as ocp

from a2inet_jax.model.a2inet import A2INet
from a2inet_jax.training import history, loop, parallel
from a2inet_jax.training.loop import DivergedError, Watch
from a2inet_jax.training.losses import Losses
from a2inet_jax.training.prediction import predict
from a2inet_jax.training.replica import Replica, Trained
from a2inet_jax.training.settings import EpochRule, Settings
from tests.training_inputs import MeanPooling, make_features, make_replicas, make_split

FEATURES = make_features()
REPLICAS = make_replicas(FEATURES)  # of 4, 3 and 3 steps: 13, 9 and 11 videos
STEPS = 4
SETTINGS = Settings(learning_rate=3e-2, batch_size=4, epochs=7, checkpoint_every=2)
FOLDER = "splits_00-02_seeds_0-0"


def train(
    folder: Path,
    settings: Settings = SETTINGS,
    replicas: list[Replica] = REPLICAS,
    on_step: Callable[[int], None] = lambda _: None,
) -> list[Trained]:
    watch = Watch(advance=lambda text, done, total: on_step(done))
    return loop.train(MeanPooling(), FEATURES, replicas, settings, folder, watch)


def assert_same(one: list[Trained], other: list[Trained]) -> None:
    """Bit for bit."""
    for a, b in zip(one, other, strict=True):
        jax.tree.map(np.testing.assert_array_equal, a.params, b.params)
        assert a.history == b.history
        assert (a.epoch, a.label_range) == (b.epoch, b.label_range)


def assert_close(one: list[Trained], other: list[Trained], tolerance: float = 1e-5) -> None:
    for a, b in zip(one, other, strict=True):
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=tolerance),
            a.params,
            b.params,
        )
        for found, expected in zip(a.history, b.history, strict=True):
            assert found == pytest.approx(expected, abs=tolerance)
        assert a.epoch == b.epoch


def kill_at(step: int) -> Callable[[int], None]:
    def on_step(done: int) -> None:
        if done == step:
            raise KeyboardInterrupt

    return on_step


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Trained], list[int]]:
    """A training that nothing disturbed, with its folder and the steps that were told."""
    told: list[int] = []
    folder = tmp_path_factory.mktemp("whole")
    return folder, train(folder, on_step=told.append), told


def test_it_learns_and_predicts_in_the_labels_scale(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, epochs=40, epoch_rule="last", checkpoint_every=40)
    train_ids = tuple(FEATURES.ids[:13])
    split = dataclasses.replace(make_split(FEATURES), test=train_ids)  # tests what it has learnt
    replicas = [Replica(0, 0, split)]
    trained = train(tmp_path, settings, replicas)
    (one,) = trained
    assert one.history[-1]["train_loss"] < 0.2 * one.history[0]["train_loss"]  # type: ignore[operator]
    mos = FEATURES.mos[:13]
    assert one.label_range == (mos.min(), mos.max())
    (score,) = predict(MeanPooling(), FEATURES, replicas, trained, settings)
    assert np.abs(score - mos).mean() < 0.05 * np.ptp(mos)


def test_history_table_and_curves_agree(whole: tuple[Path, list[Trained], list[int]]) -> None:
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


def test_best_epoch_has_the_best_parameters(
    whole: tuple[Path, list[Trained], list[int]], tmp_path: Path
) -> None:
    _, trained, _ = whole
    for number, one in enumerate(trained):  # what is kept is what stood at the end of that epoch
        shorter = dataclasses.replace(SETTINGS, epochs=one.epoch, epoch_rule="last")
        stopped = train(tmp_path / str(number), shorter)[number]
        jax.tree.map(np.testing.assert_array_equal, one.params, stopped.params)
    # Of the validation part as if it were the test part.
    replicas = [
        dataclasses.replace(r, split=dataclasses.replace(r.split, test=r.split.validation))
        for r in REPLICAS
    ]
    scores = predict(MeanPooling(), FEATURES, replicas, trained, SETTINGS)
    for one, replica, score in zip(trained, replicas, scores):
        values = [record["val_srcc"] for record in one.history]
        assert one.epoch == values.index(max(values)) + 1  # type: ignore[type-var]
        found, _ = history.correlations(score, FEATURES.mos[FEATURES.rows(replica.split.test)])
        assert found == pytest.approx(values[one.epoch - 1])
    assert len({one.epoch for one in trained}) > 1  # or the replicas would share their choice


@pytest.mark.parametrize("rule", ["last", "best_test"])
def test_other_epoch_rules_change_the_choice_alone(
    whole: tuple[Path, list[Trained], list[int]], tmp_path: Path, rule: EpochRule
) -> None:
    trained = train(tmp_path, dataclasses.replace(SETTINGS, epoch_rule=rule))
    for one, before in zip(trained, whole[1]):
        assert one.history == before.history
        values = [record["test_srcc"] for record in one.history]
        assert one.epoch == (7 if rule == "last" else values.index(max(values)) + 1)  # type: ignore[type-var]


def test_a_replica_ends_where_it_ends_alone(
    whole: tuple[Path, list[Trained], list[int]], tmp_path: Path
) -> None:
    alone = [train(tmp_path, replicas=[replica])[0] for replica in REPLICAS]
    assert_close(whole[1], alone, 1e-6)
    assert (tmp_path / "metrics.csv").read_text().count("\n") == 1 + 3 * 7


def test_seeds_are_replicas_too(
    whole: tuple[Path, list[Trained], list[int]], tmp_path: Path
) -> None:
    replicas = [dataclasses.replace(REPLICAS[0], seed=seed) for seed in (0, 1)]
    same, other = train(tmp_path, replicas=replicas)
    assert_close([same], whole[1][:1], 1e-6)
    assert other.history != same.history


def test_the_same_seed_gives_the_same(
    whole: tuple[Path, list[Trained], list[int]], tmp_path: Path
) -> None:
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
    replicas = make_replicas(features)

    def run(folder: Path, settings: Settings) -> list[Trained]:
        return loop.train(MeanPooling(), features, replicas, settings, folder)

    usual = run(tmp_path / "usual", SETTINGS)
    assert_close(run(tmp_path / "other", dataclasses.replace(SETTINGS, **changes)), usual, 1e-6)


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_the_average_is_what_is_kept(tmp_path: Path, ema: float) -> None:
    settings = dataclasses.replace(SETTINGS, epochs=1, ema=ema, epoch_rule="last")
    (one,) = train(tmp_path, settings, REPLICAS[:1])
    tree = load(tmp_path / "checkpoints" / "splits_00-00_seeds_0-0", STEPS)
    state = tree["state"]
    kept = state["average"] if ema else state["params"]
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[0]), one.params, kept)


def load(folder: Path, step: int) -> Any:
    """A checkpoint's arrays as nested dictionaries."""
    return ocp.load(folder / str(step))


def test_real_model_with_no_validation_part(tmp_path: Path) -> None:
    settings = Settings(learning_rate=1e-2, batch_size=6, epochs=8, epoch_rule="last")
    replicas = [Replica(3, 0, make_split(FEATURES, validation=0))]
    model = A2INet(width=8, neck=8, hidden=4)
    (trained,) = loop.train(model, FEATURES, replicas, settings, tmp_path)
    assert trained.history[-1]["train_loss"] < 0.7 * trained.history[0]["train_loss"]  # type: ignore[operator]
    assert trained.history[0]["val_srcc"] is None
    assert isinstance(trained.history[0]["test_srcc"], float)


def test_few_programs_are_compiled_and_it_says_so(tmp_path: Path) -> None:
    features = make_features(longest=40)
    lines: list[str] = []
    settings = dataclasses.replace(SETTINGS, steps_per_call=1, buckets=2)
    replicas = make_replicas(features, validation=4)
    watch = Watch(say=lines.append)
    loop.train(MeanPooling(width=5), features, replicas, settings, tmp_path, watch)
    assert lines[0].startswith("features: resident on the device (")
    # Training and scoring, in two lengths each.
    assert lines[-1].startswith("compiled 4 programs in ")


def test_results_are_read_when_the_next_work_is_handed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = parallel.runner("jit", len(REPLICAS))
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
    settings = dataclasses.replace(SETTINGS, epochs=2, steps_per_call=1, buckets=1)
    train(tmp_path, settings)
    ahead = ["train", "get"] * (STEPS - 1)
    # Before the last step of an epoch is read, the scoring behind it is under way.
    assert events == ["train", *ahead, "score", "get", "train", *ahead, "score", "get"]


@pytest.mark.parametrize("step", [4, 8, 20, 28])
def test_interrupted_ends_like_undisturbed(
    whole: tuple[Path, list[Trained], list[int]], tmp_path: Path, step: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, on_step=kill_at(step))
    told: list[int] = []
    assert_same(train(tmp_path, on_step=told.append), whole[1])
    assert told[0] % (2 * STEPS) == 0
    assert told[0] <= step
    assert (tmp_path / "metrics.csv").read_bytes() == (whole[0] / "metrics.csv").read_bytes()


def test_complete_training_is_read_back(
    whole: tuple[Path, list[Trained], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("a2inet_jax.training.parallel.runner", None)
    assert_same(train(whole[0]), whole[1])


# Orbax leaves reads in flight when one of them fails.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("harm", ["empty", "flipped", "missing"])
def test_damaged_newest_checkpoint_is_named_and_the_one_before_used(
    whole: tuple[Path, list[Trained], list[int]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    harm: str,
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, on_step=kill_at(5 * STEPS))
    newest = tmp_path / "checkpoints" / FOLDER / "16"
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
        resumed = train(tmp_path, on_step=told.append)
    assert told[0] == 8
    (warning,) = [r.getMessage() for r in caplog.records if r.name.startswith("a2inet_jax")]
    assert str(newest) in warning
    assert (newest.parent / "16.damaged").is_dir()
    assert_same(resumed, whole[1])


def test_checkpoint_whose_checksum_differs_is_noticed(
    whole: tuple[Path, list[Trained], list[int]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One that Orbax itself reads without complaint."""
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, on_step=kill_at(5 * STEPS))
    newest = tmp_path / "checkpoints" / FOLDER / "16"
    metadata = json.loads((newest / "_CHECKPOINT_METADATA").read_text())
    metadata["custom_metadata"]["checksum"] += 1  # as if an array had changed
    (newest / "_CHECKPOINT_METADATA").write_text(json.dumps(metadata))
    assert_same(train(tmp_path), whole[1])
    assert "16 is damaged" in caplog.text


def test_all_checkpoints_damaged_starts_over(
    whole: tuple[Path, list[Trained], list[int]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, on_step=kill_at(5 * STEPS))
    for name in ("8", "16"):
        (tmp_path / "checkpoints" / FOLDER / name / "state" / "_METADATA").unlink()
    told: list[int] = []
    assert_same(train(tmp_path, on_step=told.append), whole[1])
    assert told[0] == 0
    assert len([r for r in caplog.records if r.name.startswith("a2inet_jax")]) == 2
    assert_same(train(tmp_path), whole[1])  # the new checkpoints are read, not the old


def test_folder_of_another_training_is_refused(
    whole: tuple[Path, list[Trained], list[int]],
) -> None:
    folder, _, _ = whole

    def refused(expected: str, **changes: object) -> None:
        arguments = {"model": MeanPooling(), "features": FEATURES, "replicas": REPLICAS}
        arguments |= {"settings": SETTINGS, "folder": folder} | changes
        with pytest.raises(ValueError, match=expected) as error:
            loop.train(**arguments)  # type: ignore[arg-type]
        assert str(folder) in str(error.value)

    rate = dataclasses.replace(SETTINGS, learning_rate=1e-3, weight_decay=0.1)
    refused(
        r"settings.learning_rate \(0.03 there, 0.001 now\); settings.weight_decay", settings=rate
    )
    refused(r"model.width \(8 there, 9 now\)", model=MeanPooling(width=9))
    refused("model .*'MeanPooling' there, 'A2INet' now", model=A2INet())
    refused("features", features=make_features(seed=1))
    refused(
        r"split 0.train \(13 videos there, 12 videos now\)",
        replicas=make_replicas(FEATURES, (12, 9, 11)),
    )


def test_unreadable_settings_are_named(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / FOLDER / "settings.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(ValueError, match=r"settings\.json cannot be read"):
        train(tmp_path)


def test_settings_are_written_beside_the_checkpoints(
    whole: tuple[Path, list[Trained], list[int]],
) -> None:
    folder = whole[0] / "checkpoints" / FOLDER
    found = json.loads((folder / "settings.json").read_text())
    assert found["settings.learning_rate"] == 3e-2
    assert found["split 1.test"] == list(REPLICAS[1].split.test)
    # The two latest: every second epoch, and the last.
    assert sorted(p.name for p in folder.iterdir() if p.is_dir()) == ["24", "28"]


def test_loss_that_is_not_finite_stops_with_the_step_and_the_last_checkpoint_stays(
    tmp_path: Path,
) -> None:
    settings = dataclasses.replace(SETTINGS, epochs=3, checkpoint_every=1)
    replicas = [dataclasses.replace(r, number=r.number + 4) for r in REPLICAS]
    loop.train(MeanPooling(), FEATURES, replicas, settings, tmp_path)
    longer = dataclasses.replace(settings, epochs=9)
    folder = tmp_path / "checkpoints" / "splits_04-06_seeds_0-0"
    # As if the features had been good up to here.
    (folder / "settings.json").unlink()
    videos = [tuple(x.copy() for x in FEATURES.read(n)) for n in range(len(FEATURES.ids))]
    videos[FEATURES.rows(replicas[1].split.train)[2]][0][0, 0] = np.inf
    features = type(FEATURES).of_arrays(FEATURES.ids, videos, FEATURES.mos)
    with pytest.raises(DivergedError, match=r"split [456], epoch 4, step [1-4]: the loss is"):
        loop.train(MeanPooling(), features, replicas, longer, tmp_path)
    assert sorted(p.name for p in folder.iterdir() if p.is_dir()) == ["12", "8"]


def test_score_that_is_not_finite_names_the_video(tmp_path: Path) -> None:
    videos = [tuple(x.copy() for x in FEATURES.read(n)) for n in range(len(FEATURES.ids))]
    bad = REPLICAS[0].split.validation[1]
    videos[FEATURES.rows([bad])[0]][0][0, 0] = np.nan
    features = type(FEATURES).of_arrays(FEATURES.ids, videos, FEATURES.mos)
    with pytest.raises(DivergedError, match=f"split 0, epoch 1: the score of video {bad}"):
        loop.train(MeanPooling(), features, REPLICAS[:1], SETTINGS, tmp_path)


@pytest.mark.parametrize("placement", ["resident", "streamed"])
def test_what_fills_a_batch_reaches_nothing(tmp_path: Path, placement: Any) -> None:
    """Not even the first video, whose number stands in empty places, when it can't be trained on."""
    videos = [tuple(x.copy() for x in FEATURES.read(n)) for n in range(len(FEATURES.ids))]
    split = make_split(FEATURES)
    videos[0][0][:] = np.inf
    features = type(FEATURES).of_arrays(FEATURES.ids, videos, FEATURES.mos)
    split = dataclasses.replace(split, train=split.train[1:10])  # nine, in batches of four
    settings = dataclasses.replace(SETTINGS, placement=placement, epochs=2)
    (found,) = loop.train(MeanPooling(), features, [Replica(0, 0, split)], settings, tmp_path / "a")
    (clean,) = loop.train(MeanPooling(), FEATURES, [Replica(0, 0, split)], settings, tmp_path / "b")
    assert_same([found], [clean])


def test_parameters_that_are_not_finite_stop_it_too(tmp_path: Path) -> None:
    # The first update already overflows, and the one step has a loss from before it.
    settings = Settings(learning_rate=3e38, weight_decay=3e38, batch_size=16, epochs=1)
    with pytest.raises(DivergedError, match="split 0, epoch 1: a parameter is not finite"):
        train(tmp_path, settings, REPLICAS[:1])
    assert not list(tmp_path.glob("checkpoints/*/1"))


@pytest.mark.parametrize("rule", ["best_val", "best_test"])
def test_rule_needs_videos_to_choose_by(tmp_path: Path, rule: EpochRule) -> None:
    settings = dataclasses.replace(SETTINGS, epoch_rule=rule)
    split = make_split(FEATURES, train=13, validation=0 if rule == "best_val" else 10)
    with pytest.raises(ValueError, match=f"split 1: epoch_rule '{rule}'"):
        train(tmp_path, settings, [Replica(1, 0, split)])


def test_labels_all_alike_are_refused(tmp_path: Path) -> None:
    features = dataclasses.replace(FEATURES, mos=np.full(len(FEATURES.ids), 3.0))
    with pytest.raises(ValueError, match=r"split 0: all labels .* are 3.0"):
        loop.train(MeanPooling(), features, REPLICAS, SETTINGS, tmp_path)
