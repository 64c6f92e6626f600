"""Interrupted runs, and folders that already hold a run."""

import dataclasses
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from a2inet_jax.errors import RunError
from a2inet_jax.model.a2inet import A2INet
from a2inet_jax.training import loop
from tests.training_inputs import (
    CHECKPOINT_FOLDER,
    CONFIG,
    DATA,
    MEMBERS,
    STEPS_PER_EPOCH,
    MeanPooling,
    Uninterrupted,
    assert_same,
    make_data,
    make_members,
    train,
)


def kill_at(step: int) -> Callable[[int], None]:
    def on_step(done: int) -> None:
        if done == step:
            raise KeyboardInterrupt

    return on_step


@pytest.mark.parametrize("step", [4, 8, 20, 28])
def test_interrupted_run_ends_like_an_uninterrupted_one(
    uninterrupted: Uninterrupted, tmp_path: Path, step: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, on_step=kill_at(step))
    reported: list[int] = []
    assert_same(train(tmp_path, on_step=reported.append), uninterrupted[1])
    assert reported[0] % (2 * STEPS_PER_EPOCH) == 0
    assert reported[0] <= step
    tables = [folder / "history.csv" for folder in (tmp_path, uninterrupted[0])]
    assert tables[0].read_bytes() == tables[1].read_bytes()


def test_finished_run_is_read_back(
    uninterrupted: Uninterrupted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("a2inet_jax.training.parallel.make_runner", None)
    assert_same(train(uninterrupted[0]), uninterrupted[1])


# Orbax leaves reads in flight when one of them fails.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("damage", ["empty", "flipped", "missing"])
def test_damaged_checkpoint_is_reported_and_the_one_before_it_used(
    uninterrupted: Uninterrupted,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: str,
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, on_step=kill_at(5 * STEPS_PER_EPOCH))
    newest = tmp_path / "checkpoints" / CHECKPOINT_FOLDER / "16"
    for path in [p for p in (newest / "state").rglob("*") if p.is_file()]:
        content = bytearray(path.read_bytes())
        if damage == "missing":
            path.unlink()
        elif damage == "empty":
            path.write_bytes(b"")
        elif path.parent.name == "d":
            middle = len(content) // 2
            content[middle : middle + 64] = bytes(64)
            path.write_bytes(content)
    reported: list[int] = []
    with caplog.at_level(logging.WARNING, "a2inet_jax"):
        resumed = train(tmp_path, on_step=reported.append)
    assert reported[0] == 8
    (warning,) = [r.getMessage() for r in caplog.records if r.name.startswith("a2inet_jax")]
    assert str(newest) in warning
    assert (newest.parent / "16.damaged").is_dir()
    assert_same(resumed, uninterrupted[1])


def test_wrong_checksum_of_a_checkpoint_is_noticed(
    uninterrupted: Uninterrupted, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Orbax itself reads such a checkpoint without complaint."""
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, on_step=kill_at(5 * STEPS_PER_EPOCH))
    newest = tmp_path / "checkpoints" / CHECKPOINT_FOLDER / "16"
    metadata = json.loads((newest / "_CHECKPOINT_METADATA").read_text())
    metadata["custom_metadata"]["checksum"] += 1  # as if an array had changed
    (newest / "_CHECKPOINT_METADATA").write_text(json.dumps(metadata))
    assert_same(train(tmp_path), uninterrupted[1])
    assert "16 is damaged" in caplog.text


def test_training_starts_over_if_all_checkpoints_are_damaged(
    uninterrupted: Uninterrupted, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, on_step=kill_at(5 * STEPS_PER_EPOCH))
    for name in ("8", "16"):
        (tmp_path / "checkpoints" / CHECKPOINT_FOLDER / name / "state" / "_METADATA").unlink()
    reported: list[int] = []
    assert_same(train(tmp_path, on_step=reported.append), uninterrupted[1])
    assert reported[0] == 0
    assert len([r for r in caplog.records if r.name.startswith("a2inet_jax")]) == 2
    assert_same(train(tmp_path), uninterrupted[1])  # reads the new checkpoints


def test_folder_of_another_run_is_refused(uninterrupted: Uninterrupted) -> None:
    folder = uninterrupted[0]

    def refused(expected: str, **changes: object) -> None:
        arguments = {"model": MeanPooling(), "data": DATA, "members": MEMBERS}
        arguments |= {"config": CONFIG, "folder": folder} | changes
        with pytest.raises(RunError, match=expected) as error:
            loop.train(**arguments)  # type: ignore[arg-type]
        assert str(folder) in str(error.value)

    other = dataclasses.replace(CONFIG, learning_rate=1e-3, weight_decay=0.1)
    refused(
        r"settings.learning_rate: 0.03 there, 0.001 now\n  settings.weight_decay: 0.0 there, 0.1 now",
        config=other,
    )
    refused(r"model.width: 8 there, 9 now", model=MeanPooling(width=9))
    refused("model: MeanPooling there, A2INet now", model=A2INet())
    refused("features", data=make_data(seed=1))
    refused(
        "split 0.train: 13 entries there, 12 entries now",
        members=make_members(DATA, (12, 9, 11)),
    )


def test_unreadable_fingerprint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / CHECKPOINT_FOLDER / "settings.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(RunError, match=r"settings\.json is not JSON"):
        train(tmp_path)


def test_fingerprint_is_written_beside_the_checkpoints(uninterrupted: Uninterrupted) -> None:
    folder = uninterrupted[0] / "checkpoints" / CHECKPOINT_FOLDER
    found = json.loads((folder / "settings.json").read_text())
    assert found["settings.learning_rate"] == 3e-2
    assert found["split 1.test"] == list(MEMBERS[1].split.test)
    # The two latest checkpoints: one every second epoch, and one of the last epoch.
    assert sorted(p.name for p in folder.iterdir() if p.is_dir()) == ["24", "28"]
