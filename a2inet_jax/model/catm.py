"""Cross-aware temporal modeling: quality saliency and content variation perception."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from a2inet_jax.config import Model
from a2inet_jax.model.convolution import TemporalConvolution
from a2inet_jax.model.linear import Linear
from a2inet_jax.model.masking import deviation_and_std, maximum, zero_padding


class Perception(nn.Module):
    """A temporal convolution of F_e, times a gate made from what was pooled over time.

    The gate is FC(D → D/r), ReLU, FC(D/r → D), sigmoid: one number a channel and video, sown as
    `gate` (`[B, 1, D]`) into the collection `intermediates`. The convolution keeps the length and
    sees zeros beyond each video's own first and last frame.
    """

    reduction: int = Model.reduction
    kernel: int = Model.kernel
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x_BxTxD: jax.Array, pooled_Bx1xD: jax.Array, mask_BxT: jax.Array
    ) -> jax.Array:
        """Returns the gated features, `[B, T, D]`."""
        width = x_BxTxD.shape[-1]
        squeezed = nn.relu(
            Linear(width // self.reduction, dtype=self.dtype, name="squeeze")(pooled_Bx1xD)
        )
        gate = nn.sigmoid(Linear(width, dtype=self.dtype, name="excite")(squeezed))
        self.sow("intermediates", "gate", gate)
        convolved = TemporalConvolution(width, self.kernel, self.dtype, name="convolution")(
            zero_padding(x_BxTxD, mask_BxT)
        )
        return gate * convolved


class CATM(nn.Module):
    """F_qt ⊕ F_st: quality saliency and content variation side by side.

    An FC layer first brings F_e to width D. Quality saliency is gated by the max over time, content
    variation by the std over time: torch's (ddof 1, and 0 for a single frame), with 1e-12 under its
    root.
    """

    width: int = Model.width
    reduction: int = Model.reduction
    kernel: int = Model.kernel
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxTxC: jax.Array, mask_BxT: jax.Array) -> jax.Array:
        """Returns F_z, `[B, T, 2D]`."""
        x = Linear(self.width, dtype=self.dtype, name="fc")(x_BxTxC)
        _, std = deviation_and_std(x, mask_BxT, axis=1, ddof=1, epsilon=1e-12)
        perceive = partial(
            Perception, reduction=self.reduction, kernel=self.kernel, dtype=self.dtype
        )
        saliency = perceive(name="quality_saliency")(x, maximum(x, mask_BxT), mask_BxT)
        variation = perceive(name="content_variation")(x, std, mask_BxT)
        return jnp.concatenate([saliency, variation], axis=-1)
