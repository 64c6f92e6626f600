"""Operations over the frames a video really has.

A batch holds videos of different lengths, each padded after its last frame. `mask` is `[B, T]`,
bool, True for a video's own frames and False from its end on. Every function here gives each video
what it would get alone, and stays finite, as its gradient does, for one frame, for constant frames
and for a row without any frame.
"""

import jax
import jax.numpy as jnp


def zero_padding(x_BxTxC: jax.Array, mask_BxT: jax.Array) -> jax.Array:
    """Put zeros into the padding, whatever it holds, NaN included."""
    return jnp.where(mask_BxT[:, :, None], x_BxTxC, 0)


def deviation_and_std(
    x_BxTxC: jax.Array, mask_BxT: jax.Array, axis: int, ddof: int, epsilon: float
) -> tuple[jax.Array, jax.Array]:
    """Return the deviation from the mean and the standard deviation along one axis, in float32 or wider.

    σ = √(Σ (x − μ)² / max(n − ddof, 1) + ε), the sum taken over the n valid entries. With ε under
    the root the gradient is finite (zero) where x is constant; with the max, one entry has σ = √ε.

    Args:
        x_BxTxC: `[B, T, C]`, any float type.
        mask_BxT: `[B, T]` bool.
        axis: 1 for the statistics of each channel over time, 2 for those of each frame over its
            channels.
        ddof: Taken off the count: 0 for the population, 1 for torch's default.
        epsilon: Added to the variance.

    Returns:
        `x − μ` as `[B, T, C]`, zero in the padding, and σ with the axis kept as 1.
    """
    x = x_BxTxC.astype(jnp.promote_types(x_BxTxC.dtype, jnp.float32))
    valid = jnp.broadcast_to(mask_BxT[:, :, None], x.shape)
    count = jnp.sum(valid, axis=axis, keepdims=True, dtype=x.dtype)
    total = jnp.sum(jnp.where(valid, x, 0), axis=axis, keepdims=True)
    deviation = jnp.where(valid, x - total / jnp.maximum(count, 1), 0)
    variance = jnp.sum(deviation**2, axis=axis, keepdims=True) / jnp.maximum(count - ddof, 1)
    return deviation, jnp.sqrt(variance + epsilon)


def maximum(x_BxTxC: jax.Array, mask_BxT: jax.Array) -> jax.Array:
    """Return the largest value of each channel over the valid frames, `[B, 1, C]`; 0 if there is no frame."""
    lowest = jnp.finfo(x_BxTxC.dtype).min
    valid = mask_BxT[:, :, None]
    largest = jnp.max(jnp.where(valid, x_BxTxC, lowest), axis=1, keepdims=True)
    return jnp.where(valid.any(axis=1, keepdims=True), largest, 0)


def mean(x_BxT: jax.Array, mask_BxT: jax.Array) -> jax.Array:
    """Return the mean over the valid frames, `[B]`; 0 if there is no frame."""
    count = jnp.sum(mask_BxT, axis=1, dtype=x_BxT.dtype)
    return jnp.sum(jnp.where(mask_BxT, x_BxT, 0), axis=1) / jnp.maximum(count, 1)
