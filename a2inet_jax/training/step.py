"""The compiled heart of training: a step, an epoch of steps, and scores of many videos.

Pure functions of arrays. `axis` names the device axis when a batch is split over devices, and is None on one.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from a2inet_jax.training import losses
from a2inet_jax.training.batches import Batch, Data, Order, gather
from a2inet_jax.training.losses import Losses
from a2inet_jax.training.settings import Settings
from a2inet_jax.training.state import TrainState, learning_rate, optimizer


def gradients(
    model: nn.Module, params: Any, batch: Batch, rank_weight: float, axis: str | None = None
) -> tuple[Any, Losses]:
    """Gradients and losses of the global batch, the same on every device.

    Pairs of the rank loss lie across devices, so scores and labels are gathered from all of them inside the
    differentiated function. The transpose of the gather sums what the N equal losses of the N devices say
    about a device's scores: each device gets N times its own rows' share of the gradient. The *mean* over
    devices is then the sum of the shares, the gradient of the one global loss.
    """

    def loss(p: Any) -> tuple[jax.Array, Losses]:
        outputs: Any = model.apply({"params": p}, batch.streams, batch.mask)
        rows = (outputs.score, batch.label, batch.where)
        if axis is not None:
            rows = jax.lax.all_gather(rows, axis, tiled=True)
        result = losses.total(*rows, rank_weight)
        return result.total, result

    grads, result = jax.grad(loss, has_aux=True)(params)
    return (grads if axis is None else jax.lax.pmean(grads, axis)), result


def train_step(
    model: nn.Module, settings: Settings, state: TrainState, batch: Batch, axis: str | None = None
) -> tuple[TrainState, Losses]:
    """One update of the parameters from one batch."""
    grads, result = gradients(model, state.params, batch, settings.rank_weight, axis)
    updates, opt_state = optimizer(settings).update(grads, state.opt_state, state.params)
    rate = learning_rate(settings, state.step, state.total_steps)
    params = optax.apply_updates(state.params, jax.tree.map(lambda u: -rate * u, updates))
    return TrainState(params, opt_state, state.step + 1, state.total_steps), result


def train_epoch(
    model: nn.Module,
    settings: Settings,
    state: TrainState,
    data: Data,
    order: Order,
    axis: str | None = None,
) -> tuple[TrainState, Losses]:
    """Steps through the order's batches; the losses are means over the epoch's videos."""

    def body(s: jax.Array, carry: tuple[TrainState, Losses, Any]) -> Any:
        state, sums, count = carry
        batch = gather(data, jnp.asarray(order.index)[s], jnp.asarray(order.where)[s])
        state, result = train_step(model, settings, state, batch, axis)
        videos = batch.where.sum()
        if axis is not None:
            videos = jax.lax.psum(videos, axis)
        sums = Losses(*(a + videos * b for a, b in zip(sums, result)))
        return state, sums, count + videos

    zero = jnp.float32(0)
    carry = (state, Losses(zero, zero, zero), jnp.int32(0))
    state, sums, count = jax.lax.fori_loop(0, order.steps, body, carry)
    return state, Losses(*(x / count for x in sums))


def score(
    model: nn.Module, params: Any, data: Data, order: Order
) -> tuple[jax.Array, jax.Array]:
    """Scores `[S, B]` and frame scores `[S, B, T]` of the order's rows, float32, 0 past its steps."""
    S, B = order.index.shape
    T = data.mask.shape[1]

    def body(s: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        batch = gather(data, jnp.asarray(order.index)[s], jnp.asarray(order.where)[s])
        outputs: Any = model.apply({"params": params}, batch.streams, batch.mask)
        return carry[0].at[s].set(outputs.score), carry[1].at[s].set(outputs.frame_scores)

    return jax.lax.fori_loop(0, order.steps, body, (jnp.zeros((S, B)), jnp.zeros((S, B, T))))
