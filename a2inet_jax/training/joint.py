"""Joint training: several runs as one program, with networks of equal shapes on different features."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import flax.linen as nn
import numpy as np

from a2inet_jax.config import Train
from a2inet_jax.datasets.splits import Split
from a2inet_jax.training import loop
from a2inet_jax.training.data import TrainingData, grouped_id
from a2inet_jax.training.loop import Callbacks
from a2inet_jax.training.members import Member, TrainedMember
from a2inet_jax.training.predict import predict


@dataclass(frozen=True)
class RunInputs:
    """The data and members of one run.

    Attributes:
        data: Its videos, with features as wide as those of the other runs.
        members: Its ensemble members.
    """

    data: TrainingData
    members: tuple[Member, ...]


@dataclass(frozen=True)
class RunOutcome:
    """The trained members of one run and their test scores.

    Attributes:
        trained: Parameters and history of each member.
        scores: Scores of each member's test set, `[n]` float64 in the labels' scale and the set's order.
    """

    trained: list[TrainedMember]
    scores: list[np.ndarray]


def train_together(
    model: nn.Module,
    runs: Mapping[str, RunInputs],
    config: Train,
    folder: Path,
    callbacks: Callbacks,
) -> dict[str, RunOutcome]:
    """Train all members of all runs side by side; but for rounding, each ends as it would alone.

    Args:
        model: The network of every run.
        runs: The runs by the folder of their history, relative to `folder`.
        config: The same for all runs.
        folder: Folder of the checkpoints; other joint runs may share it.
        callbacks: Receive progress and log lines.

    Returns:
        The outcome of each run.

    Raises:
        ValueError: The runs' features differ in width.
        DataError: As `loop.train`.
        RunError: As `loop.train`.
        TrainingError: As `loop.train`.
        TerminatedError: SIGTERM came, and a checkpoint was written.
    """
    data = TrainingData.concatenated({name: run.data for name, run in runs.items()})
    members = [_in_group(name, each) for name, run in runs.items() for each in run.members]
    trained = loop.train(model, data, members, config, folder, callbacks)
    scores = predict(model, data, members, trained, config)
    # The members of one run are consecutive.
    ends = np.cumsum([len(run.members) for run in runs.values()]).tolist()
    return {
        name: RunOutcome(
            trained[end - len(run.members) : end], scores[end - len(run.members) : end]
        )
        for (name, run), end in zip(runs.items(), ends, strict=True)
    }


def _in_group(name: str, member: Member) -> Member:
    split = member.split
    train, validation, test = (
        tuple(grouped_id(name, video_id) for video_id in subset)
        for subset in (split.train, split.validation, split.test)
    )
    return replace(member, split=Split(train, validation, test), group=name)
