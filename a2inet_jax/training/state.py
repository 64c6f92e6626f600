"""What a step of training carries to the next one, and the optimiser that moves it."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from a2inet_jax.config import Train


class TrainState(NamedTuple):
    """Parameters on their way.

    Attributes:
        params: The model's parameters, float32.
        opt_state: The optimiser's state.
        average: Their exponential moving average, or None without one.
        step: int32 scalar, steps done.
        steps_per_epoch: int32 scalar; an array, not a constant of the program, so that splits of
            different size share it.
        key: uint32, data of the key that dropout is drawn with.
    """

    params: Any
    opt_state: optax.OptState
    average: Any
    step: jax.Array
    steps_per_epoch: jax.Array
    key: jax.Array

    @property
    def evaluated(self) -> Any:
        """The parameters to score with: the average, if there is one."""
        return self.params if self.average is None else self.average


def schedule(settings: Train) -> optax.Schedule:
    """The learning rate as a function of epochs done, a float."""
    rate, warm = settings.learning_rate, settings.warmup_fraction * settings.epochs
    after = {
        "constant": lambda: optax.constant_schedule(rate),
        "cosine": lambda: optax.cosine_decay_schedule(rate, settings.epochs - warm),
        "step": lambda: optax.exponential_decay(
            rate, settings.step_epochs, settings.step_factor, staircase=True
        ),
    }[settings.schedule]()
    if not warm:
        return after
    return optax.join_schedules([optax.linear_schedule(0.0, rate, warm), after], [warm])


def optimizer(settings: Train, steps_per_epoch: jax.Array | int) -> optax.GradientTransformation:
    """Gradient clipping, Adam, decoupled weight decay, schedule; each but Adam only if asked for."""
    rate = schedule(settings)
    parts = [
        # The middle of a step: neither the warm-up's first nor the cosine's last step is for nothing.
        optax.scale_by_learning_rate(lambda step: rate((step + 0.5) / steps_per_epoch))
    ]
    if settings.weight_decay:
        parts.insert(0, optax.add_decayed_weights(settings.weight_decay))
    parts.insert(0, optax.scale_by_adam())
    if settings.clip_norm:
        parts.insert(0, optax.clip_by_global_norm(settings.clip_norm))
    return optax.chain(*parts)


def create(
    model: nn.Module,
    settings: Train,
    widths: tuple[int, ...],
    seed: jax.Array,
    split_index: jax.Array,
    steps_per_epoch: jax.Array,
) -> TrainState:
    """Parameters drawn from (seed, split's number), and an optimiser that has seen nothing.

    Args:
        model: `model.init(key, streams, mask)` draws its parameters.
        settings: How to train.
        widths: Features of a frame in each stream.
        seed: uint32 scalar.
        split_index: int32 scalar.
        steps_per_epoch: int32 scalar.
    """
    key = jax.random.fold_in(jax.random.key(seed), split_index)
    streams = tuple(jnp.zeros((1, 1, width), jnp.float16) for width in widths)
    params = model.init(key, streams, jnp.ones((1, 1), bool))["params"]
    return TrainState(
        params=params,
        opt_state=optimizer(settings, 1).init(params),
        average=params if settings.ema_decay else None,
        step=jnp.int32(0),
        steps_per_epoch=steps_per_epoch,
        key=jax.random.key_data(jax.random.fold_in(key, 1)),
    )
