"""The state that a training step passes on to the next one, and the optimizer that updates it."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from a2inet_jax.config import Train


class TrainState(NamedTuple):
    """Parameters and optimizer state.

    Attributes:
        params: The model's parameters, float32.
        opt_state: The optimizer's state.
        average: Exponential moving average of the parameters, or None without one.
        step: int32 scalar, steps done.
        steps_per_epoch: int32 scalar; an array and not a constant of the program, so that splits of
            different sizes share it.
        key: uint32, data of the key that dropout masks are drawn from.
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


def schedule(config: Train) -> optax.Schedule:
    """Return the learning rate as a function of the epochs done, a float."""
    rate, warmup = config.learning_rate, config.warmup_fraction * config.epochs
    after_warmup = {
        "constant": lambda: optax.constant_schedule(rate),
        "cosine": lambda: optax.cosine_decay_schedule(rate, config.epochs - warmup),
        "step": lambda: optax.exponential_decay(
            rate, config.step_epochs, config.step_factor, staircase=True
        ),
    }[config.schedule]()
    if not warmup:
        return after_warmup
    return optax.join_schedules([optax.linear_schedule(0.0, rate, warmup), after_warmup], [warmup])


def optimizer(config: Train, steps_per_epoch: jax.Array | int) -> optax.GradientTransformation:
    """Chain gradient clipping, Adam, decoupled weight decay and schedule; clipping and decay are optional."""
    rate = schedule(config)
    transforms = [
        # Taken in the middle of a step: neither warm-up's first step nor cosine's last has a rate of 0.
        optax.scale_by_learning_rate(lambda step: rate((step + 0.5) / steps_per_epoch))
    ]
    if config.weight_decay:
        transforms.insert(0, optax.add_decayed_weights(config.weight_decay))
    transforms.insert(0, optax.scale_by_adam())
    if config.clip_norm:
        transforms.insert(0, optax.clip_by_global_norm(config.clip_norm))
    return optax.chain(*transforms)


def create(
    model: nn.Module,
    config: Train,
    widths: tuple[int, ...],
    seed: jax.Array,
    split_index: jax.Array,
    steps_per_epoch: jax.Array,
) -> TrainState:
    """Return the initial state, with parameters drawn from (seed, split index).

    Args:
        model: `model.init(key, streams, mask)` draws its parameters.
        config: How to train.
        widths: D_i, the features of a frame in each stream.
        seed: uint32 scalar.
        split_index: int32 scalar.
        steps_per_epoch: int32 scalar.
    """
    key = jax.random.fold_in(jax.random.key(seed), split_index)
    streams = tuple(jnp.zeros((1, 1, width), jnp.float16) for width in widths)
    params = model.init(key, streams, jnp.ones((1, 1), bool))["params"]
    return TrainState(
        params=params,
        opt_state=optimizer(config, 1).init(params),
        average=params if config.ema_decay else None,
        step=jnp.int32(0),
        steps_per_epoch=steps_per_epoch,
        key=jax.random.key_data(jax.random.fold_in(key, 1)),
    )
