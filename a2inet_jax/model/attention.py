"""Global self-attention over the frames of a video (Eq. 5)."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from a2inet_jax.model.linear import Linear


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
