"""Cross-aware guided interaction: CGIN frame by frame, then attention over all frames."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from a2inet_jax.config import Model, Normalization, NormAxis
from a2inet_jax.errors import ConfigError
from a2inet_jax.model.attention import GlobalSelfAttention
from a2inet_jax.model.cgin import CGIN, FGIN, adain


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
