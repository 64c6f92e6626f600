"""Cross-aware guided instance normalization: two streams deform each other (Eq. 1–4)."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from a2inet_jax.config import Model, NormAxis
from a2inet_jax.errors import ConfigError
from a2inet_jax.model.linear import Linear
from a2inet_jax.model.masking import deviation_and_std


def normalize(x_BxTxD: jax.Array, mask_BxT: jax.Array, axis: NormAxis) -> jax.Array:
    """Return n(X) = (X − μ(X)) / σ(X), with population statistics (ddof 0) and 1e-5 under σ's root.

    Args:
        x_BxTxD: `[B, T, D]`.
        mask_BxT: `[B, T]` bool.
        axis: "time" takes μ and σ of each channel over a video's frames, as instance normalization
            takes them over an image; "channel" takes those of each frame over its channels.

    Returns:
        `[B, T, D]` in float32 or wider, zero in the padding. Over time, a constant stream gives zeros.

    Raises:
        ConfigError: The axis is neither of the two.
    """
    deviation, std = _deviation_and_std(x_BxTxD, mask_BxT, axis)
    return deviation / std


def adain(x_BxTxD: jax.Array, y_BxTxD: jax.Array, mask_BxT: jax.Array, axis: NormAxis) -> jax.Array:
    """Return AdaIN(X, Y) = σ(Y) · n(X) + μ(Y) (Eq. 1), with `normalize`'s statistics and no parameters.

    Args:
        x_BxTxD: `[B, T, D]`, the stream that is deformed.
        y_BxTxD: `[B, T, D]`, the stream whose statistics it gets; finite in the padding.
        mask_BxT: `[B, T]` bool.
        axis: Axis of both streams' statistics, as in `normalize`.

    Returns:
        `[B, T, D]` in float32 or wider; rows of the padding are finite and meaningless.

    Raises:
        ConfigError: The axis is neither of the two.
    """
    deviation, std = _deviation_and_std(y_BxTxD, mask_BxT, axis)
    return std * normalize(x_BxTxD, mask_BxT, axis) + (y_BxTxD - deviation)


def _deviation_and_std(
    x_BxTxD: jax.Array, mask_BxT: jax.Array, axis: NormAxis
) -> tuple[jax.Array, jax.Array]:
    if axis not in ("time", "channel"):
        raise ConfigError(f"norm_axis is {axis!r}; take 'time' or 'channel'")
    return deviation_and_std(
        x_BxTxD, mask_BxT, axis={"time": 1, "channel": 2}[axis], ddof=0, epsilon=1e-5
    )


class FGIN(nn.Module):
    """Feature guided instance normalization of X by Y (Eq. 2), or with n(X) added (Eq. 3).

    f(X, Y) = γ(Y) · n(X) + θ(Y) + γ1 · n(X), where γ and θ are FC layers; γ1 = 0 is Eq. 2, γ1 = 1 is
    Eq. 3. The two layers are one product: the first half of its columns is γ, the second θ.
    """

    gamma_1: float = 0.0
    norm_axis: NormAxis = Model.norm_axis
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxTxD: jax.Array, y_BxTxD: jax.Array, mask_BxT: jax.Array) -> jax.Array:
        """Return f(X, Y), `[B, T, D]`."""
        normalized_BxTxD = normalize(x_BxTxD, mask_BxT, self.norm_axis).astype(self.dtype)
        affine_BxTx2D = Linear(2 * x_BxTxD.shape[-1], dtype=self.dtype, name="gamma_theta")(y_BxTxD)
        gamma_BxTxD, theta_BxTxD = jnp.split(affine_BxTx2D, 2, axis=-1)
        return (gamma_BxTxD + self.gamma_1) * normalized_BxTxD + theta_BxTxD


class CGIN(nn.Module):
    """f(F_q, F_s) ⊕ f(F_s, F_q) with γ1 = 1 (Eq. 4); each direction has its own γ and θ."""

    norm_axis: NormAxis = Model.norm_axis
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, quality_BxTxD: jax.Array, semantic_BxTxD: jax.Array, mask_BxT: jax.Array
    ) -> jax.Array:
        """Return F_pe, `[B, T, 2D]`."""
        deform = partial(FGIN, gamma_1=1.0, norm_axis=self.norm_axis, dtype=self.dtype)
        return jnp.concatenate(
            [
                deform(name="quality_by_semantic")(quality_BxTxD, semantic_BxTxD, mask_BxT),
                deform(name="semantic_by_quality")(semantic_BxTxD, quality_BxTxD, mask_BxT),
            ],
            axis=-1,
        )
