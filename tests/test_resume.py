"""Trainings that were interrupted, and folders that hold one already."""

import dataclasses
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from a2inet_jax.model.a2inet import A2INet
from a2inet_jax.training import loop
from tests.training_inputs import (
    FEATURES,
    FOLDER,
    MEMBERS,
    SETTINGS,
    STEPS,
    MeanPooling,
    Whole,
    assert_same,
    make_features,
    make_members,
    train,
    undisturbed,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return undisturbed(tmp_path_factory.mktemp("whole"))


def kill_at(step: int) -> Callable[[int], None]:
    def on_step(done: int) -> None:
        if done == step:
            raise KeyboardInterrupt

    return on_step


@pytest.mark.parametrize("step", [4, 8, 20, 28])
def test_interrupted_ends_like_undisturbed(whole: Whole, tmp_path: Path, step: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, on_step=kill_at(step))
    told: list[int] = []
    assert_same(train(tmp_path, on_step=told.append), whole[1])
    assert told[0] % (2 * STEPS) == 0
    assert told[0] <= step
    assert (tmp_path / "metrics.csv").read_bytes() == (whole[0] / "metrics.csv").read_bytes()


def test_complete_training_is_read_back(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("a2inet_jax.training.parallel.runner", None)
    assert_same(train(whole[0]), whole[1])


# Orbax leaves reads in flight when one of them fails.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("harm", ["empty", "flipped", "missing"])
def test_damaged_newest_checkpoint_is_named_and_the_one_before_used(
    whole: Whole,
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
    whole: Whole, tmp_path: Path, caplog: pytest.LogCaptureFixture
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
    whole: Whole, tmp_path: Path, caplog: pytest.LogCaptureFixture
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
    whole: Whole,
) -> None:
    folder, _, _ = whole

    def refused(expected: str, **changes: object) -> None:
        arguments = {"model": MeanPooling(), "features": FEATURES, "members": MEMBERS}
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
        members=make_members(FEATURES, (12, 9, 11)),
    )


def test_unreadable_settings_are_named(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / FOLDER / "settings.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(ValueError, match=r"settings\.json cannot be read"):
        train(tmp_path)


def test_settings_are_written_beside_the_checkpoints(
    whole: Whole,
) -> None:
    folder = whole[0] / "checkpoints" / FOLDER
    found = json.loads((folder / "settings.json").read_text())
    assert found["settings.learning_rate"] == 3e-2
    assert found["split 1.test"] == list(MEMBERS[1].split.test)
    # The two latest: every second epoch, and the last.
    assert sorted(p.name for p in folder.iterdir() if p.is_dir()) == ["24", "28"]
