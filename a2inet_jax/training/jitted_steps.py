"""The functions that are compiled: many steps per call, for all ensemble members at once.

All members carry a leading axis S; a `MemberMap` turns a function of one member into a function of all.
On an accelerator they run side by side (`vmap`), which fills it and shares the GRU's loop; one member fills
a CPU, which runs them one after the other (`lax.map`).
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from a2inet_jax.config import Train
from a2inet_jax.training import state as states
from a2inet_jax.training import step
from a2inet_jax.training.batches import Batch, BatchIndices, FlatFeatures, gather
from a2inet_jax.training.losses import Losses
from a2inet_jax.training.state import TrainState

Inputs = BatchIndices | Batch
MemberMap = Callable[[Callable[..., Any]], Callable[..., Any]]


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
            return step.train_step(model, config, state, batch, axis)

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
            lambda each: step.score(model, params, _batch(features, each, length)), inputs
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


def _batch(features: FlatFeatures | None, inputs: Any, length: int) -> Batch:
    return inputs if features is None else gather(features, inputs, length)
