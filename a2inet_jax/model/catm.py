"""Cross-aware temporal modeling: quality saliency and content variation perception."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from a2inet_jax.config import Model
from a2inet_jax.model.layers import Linear, TemporalConvolution
from a2inet_jax.model.masking import deviation_and_std, maximum, zero_padding


class Perception(nn.Module):
    """A temporal convolution of F_e, times a gate computed from a pooling over time.

    The gate is FC(D → D/r), ReLU, FC(D/r → D), sigmoid: one number per channel and video, sown as
    `gate` (`[B, 1, D]`) into the collection `intermediates`. The convolution keeps the length and
    sees zeros before each video's first frame and after its last.
    """

    reduction: int = Model.reduction
    kernel: int = Model.kernel
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x_BxTxD: jax.Array, pooled_Bx1xD: jax.Array, mask_BxT: jax.Array
    ) -> jax.Array:
        """Return the gated features, `[B, T, D]`."""
        width = x_BxTxD.shape[-1]
        squeezed_Bx1xR = nn.relu(
            Linear(width // self.reduction, dtype=self.dtype, name="squeeze")(pooled_Bx1xD)
        )
        gate_Bx1xD = nn.sigmoid(Linear(width, dtype=self.dtype, name="excite")(squeezed_Bx1xR))
        self.sow("intermediates", "gate", gate_Bx1xD)
        convolved_BxTxD = TemporalConvolution(width, self.kernel, self.dtype, name="convolution")(
            zero_padding(x_BxTxD, mask_BxT)
        )
        return gate_Bx1xD * convolved_BxTxD


class CATM(nn.Module):
    """F_qt ⊕ F_st, the concatenation of quality saliency and content variation.

    An FC layer first reduces F_e to width D. Quality saliency is gated by the max over time, content
    variation by the std over time: torch's (ddof 1, and 0 for a single frame), with 1e-12 under its
    root.
    """

    width: int = Model.width
    reduction: int = Model.reduction
    kernel: int = Model.kernel
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxTxC: jax.Array, mask_BxT: jax.Array) -> jax.Array:
        """Return F_z, `[B, T, 2D]`."""
        x_BxTxD = Linear(self.width, dtype=self.dtype, name="fc")(x_BxTxC)
        _, std_Bx1xD = deviation_and_std(x_BxTxD, mask_BxT, axis=1, ddof=1, epsilon=1e-12)
        max_Bx1xD = maximum(x_BxTxD, mask_BxT)
        perceive = partial(
            Perception, reduction=self.reduction, kernel=self.kernel, dtype=self.dtype
        )
        saliency_BxTxD = perceive(name="quality_saliency")(x_BxTxD, max_Bx1xD, mask_BxT)
        variation_BxTxD = perceive(name="content_variation")(x_BxTxD, std_Bx1xD, mask_BxT)
        return jnp.concatenate([saliency_BxTxD, variation_BxTxD], axis=-1)
