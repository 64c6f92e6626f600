"""Numbers that are not finite, data that cannot be trained on, and empty slots."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from a2inet_jax.config import EpochRule, Train
from a2inet_jax.errors import DataError, DivergedError, TrainingError
from a2inet_jax.training import loop
from a2inet_jax.training.members import Member
from tests.training_inputs import (
    CONFIG,
    DATA,
    MEMBERS,
    MeanPooling,
    assert_same,
    make_split,
    train,
)


def test_loss_that_is_not_finite_names_the_step_and_keeps_the_last_checkpoint(
    tmp_path: Path,
) -> None:
    config = dataclasses.replace(CONFIG, epochs=3, checkpoint_epochs=1)
    members = [dataclasses.replace(m, split_index=m.split_index + 4) for m in MEMBERS]
    loop.train(MeanPooling(), DATA, members, config, tmp_path)
    longer = dataclasses.replace(config, epochs=9)
    folder = tmp_path / "checkpoints" / "splits_04-06_seeds_0-0"
    # Resume on bad features, as if they had been good up to here.
    (folder / "settings.json").unlink()
    videos = [tuple(x.copy() for x in DATA.read(n)) for n in range(len(DATA.ids))]
    videos[DATA.indices(members[1].split.train)[2]][0][0, 0] = np.inf
    data = type(DATA).of_arrays(DATA.ids, videos, DATA.mos)
    with pytest.raises(DivergedError, match=r"split [456], epoch 4, step [1-4]: the loss is"):
        loop.train(MeanPooling(), data, members, longer, tmp_path)
    assert sorted(p.name for p in folder.iterdir() if p.is_dir()) == ["12", "8"]


def test_score_that_is_not_finite_names_the_video(tmp_path: Path) -> None:
    videos = [tuple(x.copy() for x in DATA.read(n)) for n in range(len(DATA.ids))]
    bad = MEMBERS[0].split.validation[1]
    videos[DATA.indices([bad])[0]][0][0, 0] = np.nan
    data = type(DATA).of_arrays(DATA.ids, videos, DATA.mos)
    with pytest.raises(DivergedError, match=f"split 0, epoch 1: the score of video {bad}"):
        loop.train(MeanPooling(), data, MEMBERS[:1], CONFIG, tmp_path)


@pytest.mark.parametrize("placement", ["resident", "streamed"])
def test_empty_slots_do_not_affect_the_training(tmp_path: Path, placement: Any) -> None:
    """The features of the first video, which empty slots point at, are infinite."""
    videos = [tuple(x.copy() for x in DATA.read(n)) for n in range(len(DATA.ids))]
    split = make_split(DATA)
    videos[0][0][:] = np.inf
    data = type(DATA).of_arrays(DATA.ids, videos, DATA.mos)
    split = dataclasses.replace(split, train=split.train[1:10])  # nine, in batches of four
    config = dataclasses.replace(CONFIG, placement=placement, epochs=2)
    found = loop.train(MeanPooling(), data, [Member(0, 0, split)], config, tmp_path / "a")
    clean = loop.train(MeanPooling(), DATA, [Member(0, 0, split)], config, tmp_path / "b")
    assert_same(found, clean)


def test_parameters_that_are_not_finite_stop_the_training(tmp_path: Path) -> None:
    # The first update overflows; the loss of this only step is from before it, and finite.
    config = Train(learning_rate=3e38, weight_decay=3e38, batch_size=16, epochs=1)
    with pytest.raises(DivergedError, match="split 0, epoch 1: a parameter is not finite"):
        train(tmp_path, config, MEMBERS[:1])
    assert not list(tmp_path.glob("checkpoints/*/1"))


@pytest.mark.parametrize("rule", ["best_val", "best_test"])
def test_epoch_rule_needs_videos_to_choose_by(tmp_path: Path, rule: EpochRule) -> None:
    config = dataclasses.replace(CONFIG, epoch_rule=rule)
    split = make_split(DATA, train=13, validation=0 if rule == "best_val" else 10)
    with pytest.raises(TrainingError, match=f"split 1: epoch_rule '{rule}'"):
        train(tmp_path, config, [Member(1, 0, split)])


def test_equal_labels_are_refused(tmp_path: Path) -> None:
    data = dataclasses.replace(DATA, mos=np.full(len(DATA.ids), 3.0))
    with pytest.raises(DataError, match=r"split 0: all labels .* are 3.0"):
        loop.train(MeanPooling(), data, MEMBERS, CONFIG, tmp_path)
