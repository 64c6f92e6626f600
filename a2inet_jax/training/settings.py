"""What training depends on besides model, features and splits."""

from dataclasses import dataclass
from typing import Literal

Schedule = Literal["constant", "cosine", "step"]
EpochRule = Literal["last", "best_val", "best_test"]
Parallel = Literal["jit", "pmap", "mesh"]
Placement = Literal["auto", "resident", "streamed"]
_CHOICES = {
    "schedule": ("constant", "cosine", "step"),
    "epoch_rule": ("last", "best_val", "best_test"),
    "parallel": ("jit", "pmap", "mesh"),
    "placement": ("auto", "resident", "streamed"),
}
_POSITIVE = ("batch_size", "epochs", "step_every", "buckets", "steps_per_call", "checkpoint_every")
_SHARES = ("warmup", "ema", "memory_share")


@dataclass(frozen=True)
class Settings:
    """Defaults are the A2INet paper's where it gives a value.

    The fields of the second group say how and where the work is done; the numbers stay the same
    but for rounding.

    Attributes:
        learning_rate: Of Adam, at its highest.
        batch_size: Videos of a step, over all devices.
        epochs: Passes over the training part.
        weight_decay: Decoupled weight decay (AdamW); 0 is plain Adam.
        rank_weight: η of the loss.
        schedule: "constant"; "cosine", which ends at 0; or "step", by `step_factor` every
            `step_every` epochs.
        step_every: Epochs between the drops of "step".
        step_factor: What the rate is multiplied with at each drop.
        warmup: Share of the training in which the learning rate rises linearly to its height; the
            schedule begins behind it.
        clip_norm: Largest global norm of a gradient; a longer one is scaled down. 0: no limit.
        ema: Decay of the exponential moving average of the parameters, which is then what is
            evaluated and kept. 0: the parameters themselves.
        epoch_rule: Which epoch's parameters are kept: the "last"; that with the best SRCC on the
            validation part ("best_val"); or on the test part ("best_test"), which is optimistic,
            since it picks by the numbers that it then reports. The earlier of equals.

        parallel: "jit" on one device; "pmap" splits each batch over the local devices; "mesh"
            spreads splits and batches over the devices of all processes.
        placement: Where the features are: "resident" in the device's memory, "streamed" from where
            they are stored, or "auto": resident if they fit.
        memory_share: Share of the device's memory that resident features may take.
        buckets: Lengths, at most, that videos are padded to; each is a compilation.
        steps_per_call: Steps of one call of the compiled program, at most.
        checkpoint_every: Epochs between checkpoints; the last epoch always has one.
    """

    learning_rate: float = 2e-5
    batch_size: int = 8
    epochs: int = 40
    weight_decay: float = 0.0
    rank_weight: float = 1.0
    schedule: Schedule = "constant"
    step_every: int = 10
    step_factor: float = 0.5
    warmup: float = 0.0
    clip_norm: float = 0.0
    ema: float = 0.0
    epoch_rule: EpochRule = "best_val"

    parallel: Parallel = "jit"
    placement: Placement = "auto"
    memory_share: float = 0.5
    buckets: int = 4
    steps_per_call: int = 100
    checkpoint_every: int = 10

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {getattr(self, name)!r}; take one of {choices}")
        for name in _POSITIVE:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in _SHARES:
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be in [0, 1)")
        for name in ("weight_decay", "rank_weight", "clip_norm"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must not be negative")
        for name in ("learning_rate", "step_factor"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")
