"""From feature maps to one vector a frame: spatial mean and spatial standard deviation of each channel."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


def pool_stages(maps: Sequence[jax.Array]) -> jax.Array:
    """Mean ⊕ unbiased standard deviation over the places of each map.

    The deviation is taken around the mean (no E[x²] − E[x]², which cancels), in float32 whatever the maps
    are in. A map of one place has deviation 0.

    Args:
      maps: one array [B, h, w, C] for each stage.

    Returns:
      [B, 2 ΣC] float32: mean of stage 1, deviation of stage 1, mean of stage 2, and so on.
    """
    pooled = []
    for x_BxHxWxC in maps:
        x = x_BxHxWxC.astype(jnp.float32)
        places = x.shape[1] * x.shape[2]
        mean = jnp.mean(x, axis=(1, 2), keepdims=True)
        squares = jnp.sum(jnp.square(x - mean), axis=(1, 2))
        pooled += [mean[:, 0, 0], jnp.sqrt(squares / max(places - 1, 1))]
    return jnp.concatenate(pooled, axis=-1)
