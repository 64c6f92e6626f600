"""Cross-aware guided instance normalization: two streams deform each other (Eq. 1–4)."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from a2inet_jax.config import NormAxis
from a2inet_jax.model.linear import Linear
from a2inet_jax.model.masking import deviation_and_std


def normalize(x_BxTxD: jax.Array, mask_BxT: jax.Array, axis: NormAxis) -> jax.Array:
    """n(X) = (X − μ(X)) / σ(X), with population statistics (ddof 0) and 1e-5 under σ's root.

    Args:
        x_BxTxD: `[B, T, D]`.
        mask_BxT: `[B, T]` bool.
        axis: "time" takes μ and σ of each channel over a video's frames, as instance normalization
            takes them over an image; "channel" takes those of each frame over its channels.

    Returns:
        `[B, T, D]` in float32 or wider, zero in the padding. Over time, a stream that never changes
        gives zeros.

    Raises:
        ValueError: The axis is neither of the two.
    """
    deviation, std = _deviation_and_std(x_BxTxD, mask_BxT, axis)
    return deviation / std


def adain(x_BxTxD: jax.Array, y_BxTxD: jax.Array, mask_BxT: jax.Array, axis: NormAxis) -> jax.Array:
    """AdaIN(X, Y) = σ(Y) · n(X) + μ(Y) (Eq. 1), with `normalize`'s statistics and no parameters.

    Args:
        x_BxTxD: `[B, T, D]`, the stream that is deformed.
        y_BxTxD: `[B, T, D]`, the stream whose statistics it gets; finite in the padding.
        mask_BxT: `[B, T]` bool.
        axis: What the statistics of both run over.

    Returns:
        `[B, T, D]` in float32 or wider; rows of the padding hold finite values without meaning.

    Raises:
        ValueError: The axis is neither of the two.
    """
    deviation, std = _deviation_and_std(y_BxTxD, mask_BxT, axis)
    return std * normalize(x_BxTxD, mask_BxT, axis) + (y_BxTxD - deviation)


def _deviation_and_std(
    x_BxTxD: jax.Array, mask_BxT: jax.Array, axis: NormAxis
) -> tuple[jax.Array, jax.Array]:
    if axis not in ("time", "channel"):
        raise ValueError(f"norm_axis is {axis!r}; take 'time' or 'channel'")
    return deviation_and_std(
        x_BxTxD, mask_BxT, axis={"time": 1, "channel": 2}[axis], ddof=0, epsilon=1e-5
    )


class FGIN(nn.Module):
    """Feature guided instance normalization of X by Y, and Eq. 3, which keeps n(X) beside it.

    f(X, Y) = γ(Y) · n(X) + θ(Y) + γ1 · n(X), where γ and θ are FC layers; γ1 = 0 is Eq. 2, γ1 = 1 is
    Eq. 3. The two layers are one product: the first half of its columns is γ, the second θ.
    """

    gamma_1: float = 0.0
    norm_axis: NormAxis = "time"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxTxD: jax.Array, y_BxTxD: jax.Array, mask_BxT: jax.Array) -> jax.Array:
        """Returns f(X, Y), `[B, T, D]`."""
        normalized = normalize(x_BxTxD, mask_BxT, self.norm_axis).astype(self.dtype)
        affine = Linear(2 * x_BxTxD.shape[-1], dtype=self.dtype, name="gamma_theta")(y_BxTxD)
        gamma, theta = jnp.split(affine, 2, axis=-1)
        return (gamma + self.gamma_1) * normalized + theta


class CGIN(nn.Module):
    """f(F_q, F_s) ⊕ f(F_s, F_q) with γ1 = 1 (Eq. 4); γ and θ are each direction's own."""

    norm_axis: NormAxis = "time"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, quality_BxTxD: jax.Array, semantic_BxTxD: jax.Array, mask_BxT: jax.Array
    ) -> jax.Array:
        """Returns F_pe, `[B, T, 2D]`."""
        deform = partial(FGIN, gamma_1=1.0, norm_axis=self.norm_axis, dtype=self.dtype)
        return jnp.concatenate(
            [
                deform(name="quality_by_semantic")(quality_BxTxD, semantic_BxTxD, mask_BxT),
                deform(name="semantic_by_quality")(semantic_BxTxD, quality_BxTxD, mask_BxT),
            ],
            axis=-1,
        )
