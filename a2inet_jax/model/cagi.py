"""Cross-aware guided interaction module: CGIN frame by frame, then attention over all frames."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from a2inet_jax.model.attention import GlobalSelfAttention
from a2inet_jax.model.cgin import CGIN, NormAxis


class CAGI(nn.Module):
    """CGIN followed by `GlobalSelfAttention`."""

    norm_axis: NormAxis = "time"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, quality_BxTxD: jax.Array, semantic_BxTxD: jax.Array, mask_BxT: jax.Array
    ) -> jax.Array:
        """Returns F_e, `[B, T, 2D]`."""
        perceived = CGIN(self.norm_axis, self.dtype, name="cgin")(
            quality_BxTxD, semantic_BxTxD, mask_BxT
        )
        return GlobalSelfAttention(self.dtype, name="attention")(perceived, mask_BxT)
