"""A step of training and the scores of a batch: pure functions of arrays.

`axis` names the device axis when a batch is split over devices, and is None on one.
"""

from typing import Any

import flax.linen as nn
import jax
import optax

from a2inet_jax.training import losses
from a2inet_jax.training.batches import Batch
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
        rows: Any = (outputs.score, batch.label, batch.where)
        if axis is not None:
            rows = jax.lax.all_gather(rows, axis, tiled=True)
        score, label, where = rows
        result = losses.total(score, label, where, rank_weight)
        return result.total, result

    grads, result = jax.grad(loss, has_aux=True)(params)
    return (grads if axis is None else jax.lax.pmean(grads, axis)), result


def train_step(
    model: nn.Module, settings: Settings, state: TrainState, batch: Batch, axis: str | None = None
) -> tuple[TrainState, Losses]:
    """One update of the parameters from one batch, and the losses before it."""
    grads, result = gradients(model, state.params, batch, settings.rank_weight, axis)
    updates, opt_state = optimizer(settings).update(grads, state.opt_state, state.params)
    rate = learning_rate(settings, state.step, state.total_steps)
    params = optax.apply_updates(state.params, jax.tree.map(lambda u: -rate * u, updates))
    return TrainState(params, opt_state, state.step + 1, state.total_steps), result


def score(model: nn.Module, params: Any, batch: Batch) -> tuple[jax.Array, jax.Array]:
    """Scores `[B]` and frame scores `[B, T]`, in the scale of the labels trained on."""
    outputs: Any = model.apply({"params": params}, batch.streams, batch.mask)
    return outputs.score, outputs.frame_scores
