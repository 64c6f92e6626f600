"""Ensemble members: a split trained with a seed. The members of one or several runs train as one program."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from a2inet_jax.config import Train
from a2inet_jax.datasets.splits import Split
from a2inet_jax.errors import DataError, TrainingError
from a2inet_jax.training.data import TrainingData, grouped_id
from a2inet_jax.training.history import MemberKey, Record


@dataclass(frozen=True)
class Member:
    """An ensemble member before its training.

    Attributes:
        split_index: Index of the split, from 0.
        seed: Determines initial parameters, batches and dropout, together with `split_index`.
        split: Video ids of the training, validation and test sets.
        group: Subfolder of its history, which distinguishes members of several runs that train together. No
            number depends on it.
    """

    split_index: int
    seed: int
    split: Split
    group: str = ""

    @property
    def key(self) -> MemberKey:
        """Group, split index and seed."""
        return self.group, self.split_index, self.seed


@dataclass(frozen=True)
class MemberIndices:
    """Indices of a member's videos in the training data, and the scale of its labels.

    Attributes:
        train: `[n]` int32 indices of videos, like `validation` and `test`.
        validation: May be empty.
        test: May be empty.
        label_range: Lowest and highest label of the training set, which are scaled to 0 and 1.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    label_range: tuple[float, float]

    @property
    def evaluated(self) -> np.ndarray:
        """Validation set, then test set."""
        return np.concatenate([self.validation, self.test])

    def scale_labels(self, mos: np.ndarray) -> np.ndarray:
        """Scale labels for training; `ensemble.to_labels` is the inverse."""
        low, high = self.label_range
        return (mos - low) / (high - low)


def member_indices(member: Member, data: TrainingData, config: Train) -> MemberIndices:
    """Look up the videos of a member.

    Raises:
        DataError: Videos have no features, or all labels of the training set are equal.
        TrainingError: The epoch rule has too few videos to choose by.
    """
    split = member.split
    judged = {"best_val": ("validation", split.validation), "best_test": ("test", split.test)}
    subset, ids = judged.get(config.epoch_rule, ("", None))
    if ids is not None and len(ids) < 2:
        raise TrainingError(
            f"split {member.split_index}: epoch_rule {config.epoch_rule!r} chooses by the {subset} set, "
            f"which has {len(ids)} videos. Make splits with a larger one, or use 'last'"
        )
    train = data.indices(split.train)
    low, high = float(data.mos[train].min()), float(data.mos[train].max())
    if not low < high:
        raise DataError(f"split {member.split_index}: all labels of the training set are {low}")
    return MemberIndices(
        train, data.indices(split.validation), data.indices(split.test), (low, high)
    )


def join(
    runs: Mapping[str, tuple[TrainingData, Sequence[Member]]],
) -> tuple[TrainingData, list[Member]]:
    """Join runs that train as one program, with networks of equal shapes on different features.

    But for rounding, each member ends as it would in its own run.

    Args:
        runs: Data and members of each run, by the folder of its history relative to the others'.

    Returns:
        The concatenated data, and the members of the first run, of the second, and so on.

    Raises:
        ValueError: The runs' features differ in width.
    """
    data = TrainingData.concatenated({name: run_data for name, (run_data, _) in runs.items()})
    return data, [_in_group(name, each) for name, (_, run) in runs.items() for each in run]


def _in_group(name: str, member: Member) -> Member:
    split = member.split
    train, validation, test = (
        tuple(grouped_id(name, video_id) for video_id in subset)
        for subset in (split.train, split.validation, split.test)
    )
    return replace(member, split=Split(train, validation, test), group=name)


@dataclass(frozen=True)
class TrainedMember:
    """A trained ensemble member.

    Attributes:
        params: NumPy parameters of the selected epoch.
        label_range: Lowest and highest label of the training set, the scores 0 and 1 of the model.
        epoch: Epoch selected by the epoch rule, counted from 1.
        history: One record per epoch, with the values of `history.COLUMNS`.
    """

    params: Any
    label_range: tuple[float, float]
    epoch: int
    history: list[Record]
