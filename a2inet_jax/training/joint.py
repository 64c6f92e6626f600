"""Several runs as one program: their networks have the same shapes, and their features may differ."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import flax.linen as nn
import numpy as np

from a2inet_jax.config import Train
from a2inet_jax.datasets.splits import Split
from a2inet_jax.training import loop
from a2inet_jax.training.data import TrainingData, in_group
from a2inet_jax.training.loop import Callbacks
from a2inet_jax.training.members import Member, TrainedMember
from a2inet_jax.training.predict import predict


@dataclass(frozen=True)
class RunInputs:
    """What a run trains on.

    Attributes:
        features: Of its videos; as wide as those of the other runs.
        members: Its trainings.
    """

    features: TrainingData
    members: tuple[Member, ...]


@dataclass(frozen=True)
class RunOutcome:
    """What a run's training gave, for each of its members.

    Attributes:
        trained: Parameters and history.
        scores: Of the test part, `[n]` float64 in the labels' scale and the part's order.
    """

    trained: list[TrainedMember]
    scores: list[np.ndarray]


def train_together(
    model: nn.Module,
    runs: Mapping[str, RunInputs],
    settings: Train,
    folder: Path,
    watch: Callbacks,
) -> dict[str, RunOutcome]:
    """Trains all members of all runs side by side; each ends where it ends alone, but for rounding.

    Args:
        model: Of all of them.
        runs: By the folder, within `folder`, that each run's history goes to.
        settings: Of all of them.
        folder: Has the checkpoints, and is shared by trainings of other runs.
        watch: Is told how it goes.

    Returns:
        Each run's outcome.

    Raises:
        ValueError: As `loop.train`; or the runs' features differ in width.
        DivergedError: A loss or a parameter is not finite.
        TerminatedError: SIGTERM came, and a checkpoint was written.
    """
    features = TrainingData.joined({name: run.features for name, run in runs.items()})
    members = [_in_group(name, each) for name, run in runs.items() for each in run.members]
    trained = loop.train(model, features, members, settings, folder, watch)
    scores = predict(model, features, members, trained, settings)
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
        tuple(in_group(name, video_id) for video_id in part)
        for part in (split.train, split.validation, split.test)
    )
    return replace(member, split=Split(train, validation, test), group=name)
