"""Several runs as one program: their networks have the same shapes, and their features may differ."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import flax.linen as nn
import numpy as np

from a2inet_jax.datasets.splits import Split
from a2inet_jax.training import loop
from a2inet_jax.training.features import Features, in_group
from a2inet_jax.training.loop import Watch
from a2inet_jax.training.prediction import predict
from a2inet_jax.training.replica import Replica, Trained
from a2inet_jax.training.settings import Settings


@dataclass(frozen=True)
class Run:
    """What a run trains on.

    Attributes:
        features: Of its videos; as wide as those of the other runs.
        replicas: Its trainings.
    """

    features: Features
    replicas: tuple[Replica, ...]


@dataclass(frozen=True)
class Outcome:
    """What a run's training gave, for each of its replicas.

    Attributes:
        trained: Parameters and history.
        scores: Of the test part, `[n]` float64 in the labels' scale and the part's order.
    """

    trained: list[Trained]
    scores: list[np.ndarray]


def train_together(
    model: nn.Module,
    runs: Mapping[str, Run],
    settings: Settings,
    folder: Path,
    watch: Watch,
) -> dict[str, Outcome]:
    """Trains all replicas of all runs side by side; each ends where it ends alone, but for rounding.

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
    features = Features.joined({name: run.features for name, run in runs.items()})
    replicas = [_in_group(name, each) for name, run in runs.items() for each in run.replicas]
    trained = loop.train(model, features, replicas, settings, folder, watch)
    scores = predict(model, features, replicas, trained, settings)
    ends = np.cumsum([len(run.replicas) for run in runs.values()]).tolist()
    return {
        name: Outcome(trained[end - len(run.replicas) : end], scores[end - len(run.replicas) : end])
        for (name, run), end in zip(runs.items(), ends, strict=True)
    }


def _in_group(name: str, replica: Replica) -> Replica:
    split = replica.split
    train, validation, test = (
        tuple(in_group(name, video_id) for video_id in part)
        for part in (split.train, split.validation, split.test)
    )
    return replace(replica, split=Split(train, validation, test), group=name)
