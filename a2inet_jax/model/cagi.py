"""Cross-aware guided interaction module: CGIN frame by frame, then attention over all frames."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from a2inet_jax.config import Model, Normalization, NormAxis
from a2inet_jax.model.attention import GlobalSelfAttention
from a2inet_jax.model.cgin import CGIN, FGIN, adain


class CAGI(nn.Module):
    """CGIN, or what the paper compares it with (Table 6), followed by `GlobalSelfAttention`.

    "s_to_q" deforms the semantic stream to the quality stream (S→Q: X = F_s and Y = F_q in Eq. 1 and
    2), "q_to_s" the quality stream to the semantic one; "fgin" is Eq. 2, "adain" Eq. 1. The paper
    does not say what becomes of the other stream. Here it stays as it is and both go on side by
    side, quality first: all rows of the table then have the width 2D, and differ in the
    normalization alone.

    Attributes:
        normalization: "cgin", "fgin_s_to_q", "fgin_q_to_s", "adain_s_to_q" or "adain_q_to_s".
        norm_axis: What the statistics run over: "time" or "channel".
        attention: False leaves the attention out.
        dtype: Of the computation.
    """

    normalization: Normalization = Model.normalization
    norm_axis: NormAxis = Model.norm_axis
    attention: bool = Model.attention
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, quality_BxTxD: jax.Array, semantic_BxTxD: jax.Array, mask_BxT: jax.Array
    ) -> jax.Array:
        """Returns F_e, `[B, T, 2D]`.

        Raises:
            ValueError: `normalization` or `norm_axis` is none of its values.
        """
        quality, semantic = quality_BxTxD, semantic_BxTxD
        fgin = partial(FGIN, norm_axis=self.norm_axis, dtype=self.dtype, name="fgin")
        match self.normalization:
            case "cgin":
                cgin = CGIN(self.norm_axis, self.dtype, name="cgin")
                perceived = [cgin(quality, semantic, mask_BxT)]
            case "fgin_s_to_q":
                perceived = [quality, fgin()(semantic, quality, mask_BxT)]
            case "fgin_q_to_s":
                perceived = [fgin()(quality, semantic, mask_BxT), semantic]
            case "adain_s_to_q":
                perceived = [quality, adain(semantic, quality, mask_BxT, self.norm_axis)]
            case "adain_q_to_s":
                perceived = [adain(quality, semantic, mask_BxT, self.norm_axis), semantic]
            case _:
                raise ValueError(
                    f"normalization is {self.normalization!r}; take 'cgin', 'fgin_s_to_q', "
                    "'fgin_q_to_s', 'adain_s_to_q' or 'adain_q_to_s'"
                )
        fused = jnp.concatenate(perceived, axis=-1).astype(self.dtype)
        if not self.attention:
            return fused
        return GlobalSelfAttention(self.dtype, name="attention")(fused, mask_BxT)
