"""The training loss: mean absolute error plus a weighted rank loss (Eq. 6–9 of the A2INet paper)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from a2inet_jax.config import Train


class Losses(NamedTuple):
    """Float scalars: `total` = `mae` + rank weight · `rank`."""

    total: jax.Array
    mae: jax.Array
    rank: jax.Array


def mae(score: jax.Array, label: jax.Array, where: jax.Array) -> jax.Array:
    """Mean absolute error over the valid rows (Eq. 6).

    Args:
        score: `[B]` float, predictions.
        label: `[B]` float, in the scale of the predictions.
        where: `[B]` bool, False for rows that only fill the batch; their values do not matter.

    Returns:
        A scalar; 0 where no row is valid.
    """
    error_B = jnp.abs(_valid(score, where) - _valid(label, where))
    return error_B.sum() / jnp.maximum(where.sum(), 1)


def rank_loss(score: jax.Array, label: jax.Array, where: jax.Array) -> jax.Array:
    """Return how far pairs of predictions are from the order and distance of their labels (Eq. 7–8).

    The mean over all ordered pairs (i, j) of valid rows, a row with itself included, of
    max(0, |l_i − l_j| − φ(l_i, l_j)·(s_i − s_j)), where φ is 1 if l_i ≥ l_j and −1 otherwise.

    Args:
        score: `[B]` float, predictions.
        label: `[B]` float, in the scale of the predictions.
        where: `[B]` bool, False for rows that only fill the batch; their values do not matter.

    Returns:
        A scalar; 0 where no row is valid.
    """
    score, label = _valid(score, where), _valid(label, where)
    score_BxB = score[:, None] - score[None, :]
    label_BxB = label[:, None] - label[None, :]
    phi_BxB = jnp.where(label_BxB >= 0, 1, -1)
    hinge_BxB = jax.nn.relu(jnp.abs(label_BxB) - phi_BxB * score_BxB)
    pair_BxB = where[:, None] & where[None, :]
    return jnp.where(pair_BxB, hinge_BxB, 0).sum() / jnp.maximum(pair_BxB.sum(), 1)


def total(
    score: jax.Array, label: jax.Array, where: jax.Array, rank_weight: float = Train.rank_weight
) -> Losses:
    """Return both losses and their weighted sum (Eq. 9; `rank_weight` is its η), arguments as above."""
    absolute, rank = mae(score, label, where), rank_loss(score, label, where)
    return Losses(absolute + rank_weight * rank, absolute, rank)


def _valid(x: jax.Array, where: jax.Array) -> jax.Array:
    # Zeros before any arithmetic: a NaN in a filling row must reach neither value nor gradient.
    return jnp.where(where, x, 0)
