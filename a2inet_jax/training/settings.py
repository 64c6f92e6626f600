"""What training depends on besides model, features and split."""

from dataclasses import dataclass
from typing import Literal

EpochRule = Literal["last", "best_val", "best_test"]
_CHOICES = {
    "schedule": ("constant", "cosine"),
    "epoch_rule": ("last", "best_val", "best_test"),
    "parallel": ("jit", "pmap"),
}


@dataclass(frozen=True)
class Settings:
    """Defaults are the A2INet paper's where it gives a value.

    Attributes:
        learning_rate: Of Adam, at its highest.
        batch_size: Videos of a step, over all devices.
        epochs: Passes over the training part.
        weight_decay: Decoupled weight decay (AdamW); 0 is plain Adam.
        rank_weight: η of the loss.
        schedule: "constant", or "cosine", which ends at 0.
        warmup: Share of the steps in which the learning rate rises linearly to its height.
        epoch_rule: Which epoch's parameters are kept: the "last"; that with the best SRCC on the
            validation part ("best_val"); or on the test part ("best_test"), which is optimistic,
            since it picks by the numbers that it then reports. The earlier of equals.
        parallel: "jit" on one device; "pmap" splits each batch over the local devices.
        checkpoint_every: Epochs between checkpoints; the last epoch always has one.
        seed: Of initial parameters and batches, together with the split's number.
    """

    learning_rate: float = 2e-5
    batch_size: int = 8
    epochs: int = 40
    weight_decay: float = 0.0
    rank_weight: float = 1.0
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: float = 0.0
    epoch_rule: EpochRule = "best_val"
    parallel: Literal["jit", "pmap"] = "jit"
    checkpoint_every: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {getattr(self, name)!r}; take one of {choices}")
        for name in ("batch_size", "epochs", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
