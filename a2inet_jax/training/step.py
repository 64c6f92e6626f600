"""A training step and the scores of a batch: pure functions of arrays.

`axis` names the device axis when a batch is split over devices, and is None where the program sees all of it.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from a2inet_jax.config import Train
from a2inet_jax.training import losses
from a2inet_jax.training.batches import Batch
from a2inet_jax.training.losses import Losses
from a2inet_jax.training.state import TrainState, optimizer


def gradients(
    model: nn.Module,
    params: Any,
    batch: Batch,
    keys_B: jax.Array | None,
    rank_weight: float,
    axis: str | None = None,
) -> tuple[Any, Losses]:
    """Return gradients and losses of the global batch, the same on every device.

    Pairs of the rank loss span devices, so scores and labels are gathered from all of them inside the
    differentiated function. The transpose of the gather sums what the N equal losses of the N devices say
    about a device's scores: each device gets N times its own rows' share of the gradient. The *mean* over
    devices is then the sum of the shares, the gradient of the one global loss.
    """

    def loss(p: Any) -> tuple[jax.Array, Losses]:
        outputs: Any = model.apply({"params": p}, batch.streams, batch.mask, keys_B)
        rows: Any = (outputs.score, batch.label, batch.where)
        if axis is not None:
            rows = jax.lax.all_gather(rows, axis, tiled=True)
        score, label, where = rows
        result = losses.total(score, label, where, rank_weight)
        return result.total, result

    grads, result = jax.grad(loss, has_aux=True)(params)
    return (grads if axis is None else jax.lax.pmean(grads, axis)), result


def train_step(
    model: nn.Module, config: Train, state: TrainState, batch: Batch, axis: str | None = None
) -> tuple[TrainState, Losses]:
    """Update the state with one batch; also return the losses before the update.

    A batch of nothing but empty slots leaves the state as it is.
    """
    keys_B = _dropout_keys(state, len(batch.where), axis)
    grads, result = gradients(model, state.params, batch, keys_B, config.rank_weight, axis)
    transform = optimizer(config, state.steps_per_epoch)
    updates, opt_state = transform.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    average = None
    if config.ema_decay:
        average = optax.incremental_update(params, state.average, 1 - config.ema_decay)
    new = state._replace(params=params, opt_state=opt_state, average=average, step=state.step + 1)
    real = batch.where.any()
    if axis is not None:
        real = jax.lax.pmax(real, axis)
    return jax.tree.map(lambda x, old: jnp.where(real, x, old), new, state), result


def score(model: nn.Module, params: Any, batch: Batch) -> jax.Array:
    """Return scores `[B]` in the scale of the training labels."""
    outputs: Any = model.apply({"params": params}, batch.streams, batch.mask)
    return outputs.score


def _dropout_keys(state: TrainState, slots: int, axis: str | None) -> jax.Array:
    """Return keys `[B]` that depend on the step and the slot in the global batch, not on the device."""
    first = 0 if axis is None else jax.lax.axis_index(axis) * slots
    key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
    return jax.vmap(jax.random.fold_in, (None, 0))(key, first + jnp.arange(slots))
