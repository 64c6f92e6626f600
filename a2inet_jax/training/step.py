"""A training step and the scores of a batch: pure functions of arrays, for one member and for all at once.

`axis` names the device axis when a batch is split over devices, and is None where the program sees all of it.

What is compiled are many steps per call. All members carry a leading axis S there; a `MemberMap` turns a
function of one member into a function of all. On an accelerator they run side by side (`vmap`), which fills
it and shares the GRU's loop; one member fills a CPU, which runs them one after the other (`lax.map`).
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from a2inet_jax.config import Train
from a2inet_jax.training import losses
from a2inet_jax.training import state as states
from a2inet_jax.training.batches import Batch, BatchIndices, FlatFeatures, gather
from a2inet_jax.training.losses import Losses
from a2inet_jax.training.state import TrainState, optimizer

Inputs = BatchIndices | Batch
MemberMap = Callable[[Callable[..., Any]], Callable[..., Any]]


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


def vmap_members(function: Callable[..., Any]) -> Callable[..., Any]:
    """Map f(shared, *each) over the leading axis of `each`, as one batched computation."""
    return lambda shared, *each: jax.vmap(lambda *one: function(shared, *one))(*each)


def map_members(function: Callable[..., Any]) -> Callable[..., Any]:
    """Map f(shared, *each) over the leading axis of `each`, as a loop."""
    return lambda shared, *each: jax.lax.map(lambda one: function(shared, *one), each)


def vmap_or_map() -> MemberMap:
    """Return the member map that suits the default device."""
    return map_members if jax.default_backend() == "cpu" else vmap_members


def create(
    model: nn.Module,
    config: Train,
    widths: tuple[int, ...],
    seed_S: jax.Array,
    split_index_S: jax.Array,
    steps_per_epoch_S: jax.Array,
    member_map: MemberMap = vmap_members,
) -> TrainState:
    """Return the initial states, leaves `[S, ...]`; see `state.create`."""

    def one(_: None, *each: jax.Array) -> TrainState:
        return states.create(model, config, widths, *each)

    return member_map(one)(None, seed_S, split_index_S, steps_per_epoch_S)


def train_steps(
    model: nn.Module,
    config: Train,
    length: int,
    features: FlatFeatures | None,
    state: TrainState,
    inputs: Inputs,
    member_map: MemberMap = vmap_members,
    axis: str | None = None,
) -> tuple[TrainState, Losses]:
    """Train K steps, one after the other.

    Args:
        model: The network.
        config: How to train.
        length: T, frames of the batches.
        features: The features that batches are gathered from if `inputs` are `BatchIndices`; otherwise None.
        state: Leaves `[S, ...]`.
        inputs: Leaves `[S, K, B, ...]`.
        member_map: Maps a function of one member over all.
        axis: Name of the device axis under `pmap`.

    Returns:
        The state after the last step, and the losses of each step, `[S, K]`.
    """

    def one(
        features: FlatFeatures | None, state: TrainState, inputs: Inputs
    ) -> tuple[TrainState, Losses]:
        def body(state: TrainState, inputs: Any) -> tuple[TrainState, Losses]:
            batch = _batch(features, inputs, length)
            return train_step(model, config, state, batch, axis)

        return jax.lax.scan(body, state, inputs)

    return member_map(one)(features, state, inputs)


def score_steps(
    model: nn.Module,
    length: int,
    features: FlatFeatures | None,
    params: Any,
    inputs: Inputs,
    member_map: MemberMap = vmap_members,
) -> jax.Array:
    """Return scores `[S, K, B]`; the arguments are those of `train_steps`."""

    def one(features: FlatFeatures | None, params: Any, inputs: Inputs) -> jax.Array:
        return jax.lax.map(
            lambda each: score(model, params, _batch(features, each, length)), inputs
        )

    return member_map(one)(features, params, inputs)


def snapshot(params: Any) -> tuple[Any, jax.Array]:
    """Copy parameters `[S, ...]`, and check for each member that all of them are finite, `[S]` bool."""
    finite = [jnp.isfinite(x).all(axis=range(1, x.ndim)) for x in jax.tree.leaves(params)]
    return jax.tree.map(jnp.copy, params), functools.reduce(jnp.logical_and, finite)


def keep(best: Any, candidate: Any, chosen_S: jax.Array) -> Any:
    """Return the candidate's parameters for the chosen members, and the best ones for the others."""

    def choose(old: jax.Array, new: jax.Array) -> jax.Array:
        return jnp.where(chosen_S.reshape(-1, *(1,) * (old.ndim - 1)), new, old)

    return jax.tree.map(choose, best, candidate)


def _dropout_keys(state: TrainState, slots: int, axis: str | None) -> jax.Array:
    """Return keys `[B]` that depend on the step and the slot in the global batch, not on the device."""
    first = 0 if axis is None else jax.lax.axis_index(axis) * slots
    key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
    return jax.vmap(jax.random.fold_in, (None, 0))(key, first + jnp.arange(slots))


def _batch(features: FlatFeatures | None, inputs: Any, length: int) -> Batch:
    return inputs if features is None else gather(features, inputs, length)
