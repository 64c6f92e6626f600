"""Fusion by a multilayer perceptron, which the paper compares CAGI with (Table 5)."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from a2inet_jax.config import Model
from a2inet_jax.model.linear import Linear


def dropout(x_BxTxC: jax.Array, rate: float, keys_B: jax.Array) -> jax.Array:
    """Zeroes each number with probability `rate` and divides the others by 1 − rate.

    Frame t of a video draws from its video's key with t folded in: what is dropped depends neither
    on the padding, nor on the other videos of the batch, nor on how the batch lies over devices.

    Args:
        x_BxTxC: `[B, T, C]`.
        rate: From 0 to below 1.
        keys_B: `[B]` typed PRNG keys, one a video.

    Returns:
        `[B, T, C]`.
    """
    _, frames, channels = x_BxTxC.shape

    def keep(key: jax.Array, frame: jax.Array) -> jax.Array:
        return jax.random.bernoulli(jax.random.fold_in(key, frame), 1 - rate, (channels,))

    of_a_video = jax.vmap(keep, in_axes=(None, 0))
    kept_BxTxC = jax.vmap(of_a_video, in_axes=(0, None))(keys_B, jnp.arange(frames))
    return jnp.where(kept_BxTxC, x_BxTxC / (1 - rate), 0)


class MLP(nn.Module):
    """The two streams side by side through an FC layer (2D → 2D), ReLU and dropout."""

    dropout: float = Model.dropout
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxTxC: jax.Array, keys_B: jax.Array | None) -> jax.Array:
        """Returns `[B, T, C]`; without keys nothing is dropped.

        Raises:
            ValueError: `dropout` is not a rate.
        """
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; take a rate from 0 to below 1")
        x = nn.relu(Linear(x_BxTxC.shape[-1], dtype=self.dtype, name="fc")(x_BxTxC))
        return x if keys_B is None else dropout(x, self.dropout, keys_B)
