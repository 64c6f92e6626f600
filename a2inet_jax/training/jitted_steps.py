"""The compiled programs: many steps, for all members at once.

A member is one split's training. All carry a leading axis S; `vmap_or_map` lifts a function of one to
all of them. On an accelerator they run side by side (`vmap`), which fills it and shares the GRU's loop; a CPU
is full with one, and runs them one after the other.
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
from a2inet_jax.training.batches import Batch, Frames, Rows, gather
from a2inet_jax.training.losses import Losses
from a2inet_jax.training.state import TrainState

Inputs = Rows | Batch
MemberMap = Callable[[Callable[..., Any]], Callable[..., Any]]


def vmap_members(function: Callable[..., Any]) -> Callable[..., Any]:
    """f(shared, *each) over the leading axis of `each`, as one batched computation."""
    return lambda shared, *each: jax.vmap(lambda *one: function(shared, *one))(*each)


def map_members(function: Callable[..., Any]) -> Callable[..., Any]:
    """f(shared, *each) over the leading axis of `each`, as a loop."""
    return lambda shared, *each: jax.lax.map(lambda one: function(shared, *one), each)


def vmap_or_map() -> MemberMap:
    """What suits the default device."""
    return map_members if jax.default_backend() == "cpu" else vmap_members


def create(
    model: nn.Module,
    settings: Train,
    widths: tuple[int, ...],
    seed_S: jax.Array,
    split_index_S: jax.Array,
    steps_per_epoch_S: jax.Array,
    lift: MemberMap = vmap_members,
) -> TrainState:
    """The states that training starts from, leaves `[S, ...]`; see `state.create`."""

    def one(_: None, *each: jax.Array) -> TrainState:
        return states.create(model, settings, widths, *each)

    return lift(one)(None, seed_S, split_index_S, steps_per_epoch_S)


def train_steps(
    model: nn.Module,
    settings: Train,
    length: int,
    frames: Frames | None,
    state: TrainState,
    inputs: Inputs,
    lift: MemberMap = vmap_members,
    axis: str | None = None,
) -> tuple[TrainState, Losses]:
    """K steps, one after the other.

    Args:
        model: The network.
        settings: How to train.
        length: T, frames of the batches.
        frames: Where `inputs` are `Rows`, the features that they are gathered from; otherwise None.
        state: Leaves `[S, ...]`.
        inputs: Leaves `[S, K, B, ...]`.
        lift: What takes a function of one member to all.
        axis: Name of the device axis under `pmap`.

    Returns:
        The state behind the last step, and each step's losses, `[S, K]`.
    """

    def one(frames: Frames | None, state: TrainState, inputs: Inputs) -> tuple[TrainState, Losses]:
        def body(state: TrainState, inputs: Any) -> tuple[TrainState, Losses]:
            batch = _batch(frames, inputs, length)
            return step.train_step(model, settings, state, batch, axis)

        return jax.lax.scan(body, state, inputs)

    return lift(one)(frames, state, inputs)


def score_steps(
    model: nn.Module,
    length: int,
    frames: Frames | None,
    params: Any,
    inputs: Inputs,
    lift: MemberMap = vmap_members,
) -> jax.Array:
    """Scores `[S, K, B]`; arguments as for `train_steps`."""

    def one(frames: Frames | None, params: Any, inputs: Inputs) -> jax.Array:
        return jax.lax.map(
            lambda each: step.score(model, params, _batch(frames, each, length)), inputs
        )

    return lift(one)(frames, params, inputs)


def snapshot(params: Any) -> tuple[Any, jax.Array]:
    """A copy of parameters `[S, ...]`, and if all of a member's are finite, `[S]`."""
    finite = [jnp.isfinite(x).all(axis=range(1, x.ndim)) for x in jax.tree.leaves(params)]
    return jax.tree.map(jnp.copy, params), functools.reduce(jnp.logical_and, finite)


def keep(best: Any, candidate: Any, chosen_S: jax.Array) -> Any:
    """The candidate's parameters in the members chosen, the best ones in the others."""

    def choose(old: jax.Array, new: jax.Array) -> jax.Array:
        return jnp.where(chosen_S.reshape(-1, *(1,) * (old.ndim - 1)), new, old)

    return jax.tree.map(choose, best, candidate)


def _batch(frames: Frames | None, inputs: Any, length: int) -> Batch:
    return inputs if frames is None else gather(frames, inputs, length)
