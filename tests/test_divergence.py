"""Numbers that are not finite, what can't be trained on, and what fills a batch."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from a2inet_jax.config import EpochRule, Train
from a2inet_jax.errors import DivergedError
from a2inet_jax.training import loop
from a2inet_jax.training.members import Member
from tests.training_inputs import (
    FEATURES,
    MEMBERS,
    SETTINGS,
    MeanPooling,
    assert_same,
    make_split,
    train,
)


def test_loss_that_is_not_finite_stops_with_the_step_and_the_last_checkpoint_stays(
    tmp_path: Path,
) -> None:
    settings = dataclasses.replace(SETTINGS, epochs=3, checkpoint_epochs=1)
    members = [dataclasses.replace(r, split_index=r.split_index + 4) for r in MEMBERS]
    loop.train(MeanPooling(), FEATURES, members, settings, tmp_path)
    longer = dataclasses.replace(settings, epochs=9)
    folder = tmp_path / "checkpoints" / "splits_04-06_seeds_0-0"
    # As if the features had been good up to here.
    (folder / "settings.json").unlink()
    videos = [tuple(x.copy() for x in FEATURES.read(n)) for n in range(len(FEATURES.ids))]
    videos[FEATURES.rows(members[1].split.train)[2]][0][0, 0] = np.inf
    features = type(FEATURES).of_arrays(FEATURES.ids, videos, FEATURES.mos)
    with pytest.raises(DivergedError, match=r"split [456], epoch 4, step [1-4]: the loss is"):
        loop.train(MeanPooling(), features, members, longer, tmp_path)
    assert sorted(p.name for p in folder.iterdir() if p.is_dir()) == ["12", "8"]


def test_score_that_is_not_finite_names_the_video(tmp_path: Path) -> None:
    videos = [tuple(x.copy() for x in FEATURES.read(n)) for n in range(len(FEATURES.ids))]
    bad = MEMBERS[0].split.validation[1]
    videos[FEATURES.rows([bad])[0]][0][0, 0] = np.nan
    features = type(FEATURES).of_arrays(FEATURES.ids, videos, FEATURES.mos)
    with pytest.raises(DivergedError, match=f"split 0, epoch 1: the score of video {bad}"):
        loop.train(MeanPooling(), features, MEMBERS[:1], SETTINGS, tmp_path)


@pytest.mark.parametrize("placement", ["resident", "streamed"])
def test_what_fills_a_batch_reaches_nothing(tmp_path: Path, placement: Any) -> None:
    """Not even the first video, whose number stands in empty places, when it can't be trained on."""
    videos = [tuple(x.copy() for x in FEATURES.read(n)) for n in range(len(FEATURES.ids))]
    split = make_split(FEATURES)
    videos[0][0][:] = np.inf
    features = type(FEATURES).of_arrays(FEATURES.ids, videos, FEATURES.mos)
    split = dataclasses.replace(split, train=split.train[1:10])  # nine, in batches of four
    settings = dataclasses.replace(SETTINGS, placement=placement, epochs=2)
    (found,) = loop.train(MeanPooling(), features, [Member(0, 0, split)], settings, tmp_path / "a")
    (clean,) = loop.train(MeanPooling(), FEATURES, [Member(0, 0, split)], settings, tmp_path / "b")
    assert_same([found], [clean])


def test_parameters_that_are_not_finite_stop_it_too(tmp_path: Path) -> None:
    # The first update already overflows, and the one step has a loss from before it.
    settings = Train(learning_rate=3e38, weight_decay=3e38, batch_size=16, epochs=1)
    with pytest.raises(DivergedError, match="split 0, epoch 1: a parameter is not finite"):
        train(tmp_path, settings, MEMBERS[:1])
    assert not list(tmp_path.glob("checkpoints/*/1"))


@pytest.mark.parametrize("rule", ["best_val", "best_test"])
def test_rule_needs_videos_to_choose_by(tmp_path: Path, rule: EpochRule) -> None:
    settings = dataclasses.replace(SETTINGS, epoch_rule=rule)
    split = make_split(FEATURES, train=13, validation=0 if rule == "best_val" else 10)
    with pytest.raises(ValueError, match=f"split 1: epoch_rule '{rule}'"):
        train(tmp_path, settings, [Member(1, 0, split)])


def test_labels_all_alike_are_refused(tmp_path: Path) -> None:
    features = dataclasses.replace(FEATURES, mos=np.full(len(FEATURES.ids), 3.0))
    with pytest.raises(ValueError, match=r"split 0: all labels .* are 3.0"):
        loop.train(MeanPooling(), features, MEMBERS, SETTINGS, tmp_path)
