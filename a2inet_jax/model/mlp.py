"""Fusion by a multilayer perceptron, to which the paper compares CAGI (Table 5)."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from a2inet_jax.config import Model
from a2inet_jax.errors import ConfigError
from a2inet_jax.model.linear import Linear


def dropout(x_BxTxC: jax.Array, rate: float, keys_B: jax.Array) -> jax.Array:
    """Zero each number with probability `rate` and divide the others by 1 − rate.

    Frame t of a video draws from the video's key with t folded in: the result depends neither on the
    padding, nor on the other videos of the batch, nor on the batch's layout over devices.

    Args:
        x_BxTxC: `[B, T, C]`.
        rate: A rate from 0 to below 1.
        keys_B: `[B]` typed PRNG keys, one per video.

    Returns:
        `[B, T, C]`.
    """
    _, frames, channels = x_BxTxC.shape

    def keep(key: jax.Array, frame: jax.Array) -> jax.Array:
        return jax.random.bernoulli(jax.random.fold_in(key, frame), 1 - rate, (channels,))

    keep_frames = jax.vmap(keep, in_axes=(None, 0))
    keep_BxTxC = jax.vmap(keep_frames, in_axes=(0, None))(keys_B, jnp.arange(frames))
    return jnp.where(keep_BxTxC, x_BxTxC / (1 - rate), 0)


class MLP(nn.Module):
    """An FC layer (2D → 2D) on the concatenated streams, ReLU and dropout."""

    dropout: float = Model.dropout
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxTxC: jax.Array, keys_B: jax.Array | None) -> jax.Array:
        """Return `[B, T, C]`; nothing is dropped without keys.

        Raises:
            ConfigError: `dropout` is not a rate.
        """
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout}; take a rate from 0 to below 1")
        x = nn.relu(Linear(x_BxTxC.shape[-1], dtype=self.dtype, name="fc")(x_BxTxC))
        return x if keys_B is None else dropout(x, self.dropout, keys_B)
