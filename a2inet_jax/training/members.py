"""A member: the training of one split with one seed; those of a run, or several, train as one program."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from a2inet_jax.config import Train
from a2inet_jax.datasets.splits import Split
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.history import Record


@dataclass(frozen=True)
class Member:
    """What tells a member from the others.

    Attributes:
        split_index: The split's index.
        seed: Of its initial parameters, batches and dropout, together with the split's number.
        split: Ids of its training, validation and test parts.
        group: Folder of its history, within that of the training; parts members of several runs that
            train together. It decides no number.
    """

    split_index: int
    seed: int
    split: Split
    group: str = ""

    @property
    def name(self) -> tuple[str, int, int]:
        """Group, split's number and seed."""
        return self.group, self.split_index, self.seed


@dataclass(frozen=True)
class MemberIndices:
    """A member's videos in the features, and the scale of its labels.

    Attributes:
        train: `[n]` int32 numbers of videos, like `validation` and `test`.
        validation: May be empty.
        test: May be empty.
        label_range: Lowest and highest label of the training part, which training sees as 0 and 1.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    label_range: tuple[float, float]

    @property
    def held_out(self) -> np.ndarray:
        """Validation and test part, one behind the other."""
        return np.concatenate([self.validation, self.test])

    def label(self, mos: np.ndarray) -> np.ndarray:
        """Labels as training sees them."""
        low, high = self.label_range
        return (mos - low) / (high - low)

    def mos(self, score: np.ndarray) -> np.ndarray:
        """Scores of a model, in the labels' own scale."""
        low, high = self.label_range
        return low + (high - low) * score


def member_indices(member: Member, features: TrainingData, settings: Train) -> MemberIndices:
    """Looks a member's videos up.

    Raises:
        ValueError: Videos lack features, the labels of the training part are all alike, or the epoch
            rule has too few videos to choose by.
    """
    split = member.split
    watched = {"best_val": split.validation, "best_test": split.test}.get(settings.epoch_rule)
    if watched is not None and len(watched) < 2:
        raise ValueError(
            f"split {member.split_index}: epoch_rule {settings.epoch_rule!r} chooses by a part that has "
            f"{len(watched)} videos. Make splits with a larger one, or take 'last'"
        )
    train = features.rows(split.train)
    low, high = float(features.mos[train].min()), float(features.mos[train].max())
    if not low < high:
        raise ValueError(f"split {member.split_index}: all labels of the training part are {low}")
    return MemberIndices(
        train, features.rows(split.validation), features.rows(split.test), (low, high)
    )


@dataclass(frozen=True)
class TrainedMember:
    """A member's model.

    Attributes:
        params: NumPy parameters of the epoch that the epoch rule picked.
        label_range: Lowest and highest label of the training part, to which the model's scores 0
            and 1 are mapped back.
        epoch: The epoch picked, from 1.
        history: A record an epoch, with `history.COLUMNS`.
    """

    params: Any
    label_range: tuple[float, float]
    epoch: int
    history: list[Record]
