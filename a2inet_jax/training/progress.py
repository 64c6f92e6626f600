"""Training progress, which a checkpoint holds beside its arrays."""

from dataclasses import dataclass, field
from typing import Any

from a2inet_jax.training.history import Record


@dataclass
class Progress:
    """Training progress; together with the seeds it determines all batches to come.

    Attributes:
        epochs: Finished epochs.
        steps: Finished steps of the epoch after them.
        losses: `[steps, S, 3]`, the total, MAE and rank loss of these steps.
        histories: For each member one record per finished epoch.
    """

    epochs: int = 0
    steps: int = 0
    losses: list[Any] = field(default_factory=list)
    histories: list[list[Record]] = field(default_factory=list)
