"""Pooling of feature maps to one vector per frame: spatial mean and standard deviation of each channel."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


def pool_stages(maps: Sequence[jax.Array]) -> jax.Array:
    """Concatenate the mean and the unbiased standard deviation over the positions of each map.

    The deviation is taken around the mean, as E[x²] − E[x]² would cancel, and in float32 whatever the maps'
    dtype. A map of one position has a deviation of 0.

    Args:
        maps: One array [B, h, w, C] per stage.

    Returns:
        [B, 2 ΣC] float32: mean of stage 1, deviation of stage 1, mean of stage 2, and so on.
    """
    pooled = []
    for x_BxHxWxC in maps:
        x = x_BxHxWxC.astype(jnp.float32)
        positions = x.shape[1] * x.shape[2]
        mean_Bx1x1xC = jnp.mean(x, axis=(1, 2), keepdims=True)
        squares_BxC = jnp.sum(jnp.square(x - mean_Bx1x1xC), axis=(1, 2))
        pooled += [mean_Bx1x1xC[:, 0, 0], jnp.sqrt(squares_BxC / max(positions - 1, 1))]
    return jnp.concatenate(pooled, axis=-1)
