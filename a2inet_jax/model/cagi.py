"""Cross-aware guided interaction: CGIN (Eq. 1–4) frame by frame, then attention over all frames (Eq. 5)."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from a2inet_jax.config import Model, Normalization, NormAxis
from a2inet_jax.errors import ConfigError
from a2inet_jax.model.layers import Linear
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


@jax.custom_vjp
def _products(query_BxTxC: jax.Array, key_BxTxC: jax.Array) -> jax.Array:
    """Return F_Q F_Kᵀ, `[B, T, T]` in float32 or wider; the gradient's products have F_Q's and F_K's dtype.

    JAX alone would convert these to the gradient's dtype, so that bfloat16 would cost as much as float32.
    """
    wide = jnp.promote_types(query_BxTxC.dtype, jnp.float32)
    return jnp.einsum("btc,bsc->bts", query_BxTxC, key_BxTxC, preferred_element_type=wide)


def _products_forward(
    query_BxTxC: jax.Array, key_BxTxC: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _products(query_BxTxC, key_BxTxC), (query_BxTxC, key_BxTxC)


def _products_backward(
    saved: tuple[jax.Array, jax.Array], d_BxTxT: jax.Array
) -> tuple[jax.Array, jax.Array]:
    query_BxTxC, key_BxTxC = saved
    d_BxTxT = d_BxTxT.astype(query_BxTxC.dtype)
    d_query_BxTxC = jnp.einsum("bts,bsc->btc", d_BxTxT, key_BxTxC)
    return d_query_BxTxC, jnp.einsum("bts,btc->bsc", d_BxTxT, query_BxTxC)


_products.defvjp(_products_forward, _products_backward)


class GlobalSelfAttention(nn.Module):
    """F_e = F_pe + softmax(F_Q F_Kᵀ / √C) F_V, one head of the input's full width C.

    W_Q, W_K and W_V are plain matrices, as in the paper, concatenated into one product. There is no
    layer norm. The softmax runs over a video's own frames, in float32 or wider. The attention map
    `[B, T, T]` (each query's row sums to 1) is sown as `attention` into the collection
    `intermediates`, which `apply(..., mutable="intermediates")` returns.
    """

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxTxC: jax.Array, mask_BxT: jax.Array) -> jax.Array:
        """Return F_e, `[B, T, C]`; rows of the padding are finite and meaningless."""
        channels = x_BxTxC.shape[-1]
        projected = Linear(3 * channels, use_bias=False, dtype=self.dtype, name="query_key_value")(
            x_BxTxC
        )
        query_BxTxC, key_BxTxC, value_BxTxC = jnp.split(projected, 3, axis=-1)
        logits_BxTxT = _products(query_BxTxC, key_BxTxC) / jnp.sqrt(channels)
        # The lowest finite number and not −∞, which would give NaN for a row without any frame.
        lowest = jnp.finfo(logits_BxTxT.dtype).min
        attention_BxTxT = nn.softmax(jnp.where(mask_BxT[:, None, :], logits_BxTxT, lowest))
        self.sow("intermediates", "attention", attention_BxTxT)
        return x_BxTxC + jnp.einsum("bts,bsc->btc", attention_BxTxT.astype(self.dtype), value_BxTxC)


class CAGI(nn.Module):
    """CGIN, or one of its alternatives in the paper (Table 6), followed by `GlobalSelfAttention`.

    "s_to_q" deforms the semantic stream to the quality stream (S→Q: X = F_s and Y = F_q in Eq. 1 and
    2), "q_to_s" the quality stream to the semantic one; "fgin" is Eq. 2, "adain" Eq. 1. The paper
    does not say what happens to the other stream. Here it stays as it is and both are concatenated,
    quality first: all rows of the table then have the width 2D and differ in the normalization alone.

    Attributes:
        normalization: "cgin", "fgin_s_to_q", "fgin_q_to_s", "adain_s_to_q" or "adain_q_to_s".
        norm_axis: Axis of the statistics, "time" or "channel".
        attention: Use the attention.
        dtype: Compute dtype.
    """

    normalization: Normalization = Model.normalization
    norm_axis: NormAxis = Model.norm_axis
    attention: bool = Model.attention
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, quality_BxTxD: jax.Array, semantic_BxTxD: jax.Array, mask_BxT: jax.Array
    ) -> jax.Array:
        """Return F_e, `[B, T, 2D]`.

        Raises:
            ConfigError: `normalization` or `norm_axis` has none of its values.
        """
        fgin = partial(FGIN, norm_axis=self.norm_axis, dtype=self.dtype, name="fgin")
        match self.normalization:
            case "cgin":
                cgin = CGIN(self.norm_axis, self.dtype, name="cgin")
                streams = [cgin(quality_BxTxD, semantic_BxTxD, mask_BxT)]
            case "fgin_s_to_q":
                streams = [quality_BxTxD, fgin()(semantic_BxTxD, quality_BxTxD, mask_BxT)]
            case "fgin_q_to_s":
                streams = [fgin()(quality_BxTxD, semantic_BxTxD, mask_BxT), semantic_BxTxD]
            case "adain_s_to_q":
                streams = [
                    quality_BxTxD,
                    adain(semantic_BxTxD, quality_BxTxD, mask_BxT, self.norm_axis),
                ]
            case "adain_q_to_s":
                streams = [
                    adain(quality_BxTxD, semantic_BxTxD, mask_BxT, self.norm_axis),
                    semantic_BxTxD,
                ]
            case _:
                raise ConfigError(
                    f"normalization is {self.normalization!r}; take 'cgin', 'fgin_s_to_q', "
                    "'fgin_q_to_s', 'adain_s_to_q' or 'adain_q_to_s'"
                )
        fused_BxTx2D = jnp.concatenate(streams, axis=-1).astype(self.dtype)
        if not self.attention:
            return fused_BxTx2D
        return GlobalSelfAttention(self.dtype, name="attention")(fused_BxTx2D, mask_BxT)
