"""What a step of training carries to the next one, and the optimiser that moves it."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from a2inet_jax.training.batches import Features
from a2inet_jax.training.settings import Settings


class TrainState(NamedTuple):
    """Parameters on their way.

    Attributes:
        params: The model's parameters, float32.
        opt_state: The optimiser's state.
        step: int32 scalar, steps done.
        total_steps: int32 scalar, steps of the whole training; an array, not a constant of the
            program, so that splits of different size share one compilation.
    """

    params: Any
    opt_state: optax.OptState
    step: jax.Array
    total_steps: jax.Array


def optimizer(settings: Settings) -> optax.GradientTransformation:
    """Adam, with decoupled weight decay if there is any, up to the factor of the learning rate."""
    if settings.weight_decay:
        return optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(settings.weight_decay))
    return optax.scale_by_adam()


def learning_rate(settings: Settings, step: jax.Array, total_steps: jax.Array) -> jax.Array:
    """The factor of this step's update, float32."""
    done = step / total_steps
    rate = jnp.float32(settings.learning_rate)
    if settings.schedule == "cosine":
        through = jnp.clip((done - settings.warmup) / max(1 - settings.warmup, 1e-9), 0, 1)
        rate *= 0.5 * (1 + jnp.cos(jnp.pi * through))
    if settings.warmup:
        rate *= jnp.minimum(1, (step + 1) / jnp.maximum(settings.warmup * total_steps, 1))
    return rate


def create(
    model: nn.Module, settings: Settings, features: Features, split_index: int, total_steps: int
) -> TrainState:
    """Parameters drawn from (seed, split index) and an optimiser that has seen nothing."""
    key = jax.random.fold_in(jax.random.key(settings.seed), split_index)
    params = _init(model, key, tuple(s[:1] for s in features.streams), features.mask[:1])
    opt_state = optimizer(settings).init(params)
    return TrainState(params, opt_state, jnp.int32(0), jnp.array(total_steps, jnp.int32))


_init = jax.jit(
    lambda model, key, streams, mask: model.init(key, streams, mask)["params"], static_argnums=0
)
