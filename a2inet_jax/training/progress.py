"""Where a training stands: what a checkpoint holds beside its arrays."""

from dataclasses import dataclass, field
from typing import Any

from a2inet_jax.training.history import Record


@dataclass
class Progress:
    """Where a training stands. The order of its input is a function of this and the seeds.

    Attributes:
        epochs: Epochs done.
        steps: Steps done of the one that follows.
        losses: `[steps, S, 3]` of these: total, mae, rank.
        histories: For each member a record for each epoch done.
    """

    epochs: int = 0
    steps: int = 0
    losses: list[Any] = field(default_factory=list)
    histories: list[list[Record]] = field(default_factory=list)
