"""A2INet, the head that maps two streams of frozen features to a video's score."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from a2inet_jax.config import Fusion, Model, Normalization, NormAxis, Pooling
from a2inet_jax.errors import ConfigError
from a2inet_jax.model.cagi import CAGI
from a2inet_jax.model.catm import CATM
from a2inet_jax.model.layers import MLP, Linear, Outputs
from a2inet_jax.model.masking import zero_padding
from a2inet_jax.model.temporal import TemporalNetwork


class A2INet(nn.Module):
    """An FC layer per stream, CAGI, CATM and the temporal network; padding does not change a score.

    Intermediate values are available:

        outputs, state = model.apply(
            {"params": params}, streams, mask, mutable="intermediates"
        )
        intermediates = state["intermediates"]
        intermediates["cagi"]["attention"]["attention"][0]     # [B, T, T], rows sum to 1
        intermediates["catm"]["quality_saliency"]["gate"][0]   # [B, 1, D], in (0, 1)
        intermediates["catm"]["content_variation"]["gate"][0]  # [B, 1, D]

    Attributes:
        width: D, the features of each stream after its FC layer.
        fusion: Fusion of the streams into one of width 2D: "cagi"; "concat" for concatenation;
            "concat_mlp" for concatenation, an FC layer, ReLU and dropout.
        dropout: Dropout rate of "concat_mlp"; the paper gives none, 0.5 is torch's default.
        normalization: CAGI's normalization: "cgin", "fgin_s_to_q", "fgin_q_to_s", "adain_s_to_q" or
            "adain_q_to_s".
        norm_axis: Axis of its statistics, "time" or "channel".
        attention: Use CAGI's attention.
        catm: Use CATM between the fusion and the temporal network.
        reduction: r, by which the gates of CATM are narrower than D.
        kernel: Frames of CATM's convolution window.
        neck: Features of a frame that enter the GRU.
        hidden: Hidden units of the GRU.
        pooling: Pooling of the frame scores, "subjective" or "mean".
        tau: Frames of the subjective pooling's windows.
        beta: Weight of the present against the memory in the subjective pooling.
        dtype: Compute dtype, bfloat16 for speed; norms, softmax, GRU and scores are float32 or wider,
            and parameters start as float32.
    """

    width: int = Model.width
    fusion: Fusion = Model.fusion
    dropout: float = Model.dropout
    normalization: Normalization = Model.normalization
    norm_axis: NormAxis = Model.norm_axis
    attention: bool = Model.attention
    catm: bool = Model.catm
    reduction: int = Model.reduction
    kernel: int = Model.kernel
    neck: int = Model.neck
    hidden: int = Model.hidden
    pooling: Pooling = Model.pooling
    tau: int = Model.tau
    beta: float = Model.beta
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, streams: Sequence[jax.Array], mask_BxT: jax.Array, keys_B: jax.Array | None = None
    ) -> Outputs:
        """Score a batch.

        Args:
            streams: Quality `[B, T, Dq]` and semantic `[B, T, Ds]` features of the same frames, any
                float dtype; the padding may hold anything.
            mask_BxT: `[B, T]` bool, True for each video's frames, False after its end.
            keys_B: `[B]` typed PRNG keys, one per video, for the dropout; None for no dropout, as in
                scoring.

        Returns:
            Video scores and frame scores.

        Raises:
            ConfigError: The number of streams is not two, or a field has none of its values.
        """
        # Both streams in width D.
        if len(streams) != 2:
            raise ConfigError(
                f"A2INet takes two streams, quality and semantic, not {len(streams)}; VSFA takes any"
            )
        quality_BxTxD, semantic_BxTxD = (
            Linear(self.width, dtype=self.dtype, name=name)(zero_padding(stream, mask_BxT))
            for name, stream in zip(("quality_fc", "semantic_fc"), streams)
        )

        # One stream of width 2D.
        both_BxTx2D = jnp.concatenate([quality_BxTxD, semantic_BxTxD], axis=-1)
        match self.fusion:
            case "cagi":
                cagi = CAGI(
                    self.normalization, self.norm_axis, self.attention, self.dtype, name="cagi"
                )
                fused_BxTx2D = cagi(quality_BxTxD, semantic_BxTxD, mask_BxT)
            case "concat":
                fused_BxTx2D = both_BxTx2D
            case "concat_mlp":
                fused_BxTx2D = MLP(self.dropout, self.dtype, name="mlp")(both_BxTx2D, keys_B)
            case _:
                raise ConfigError(
                    f"fusion is {self.fusion!r}; take 'cagi', 'concat' or 'concat_mlp'"
                )

        # Scores.
        if self.catm:
            catm = CATM(self.width, self.reduction, self.kernel, self.dtype, name="catm")
            fused_BxTx2D = catm(fused_BxTx2D, mask_BxT)
        return TemporalNetwork(
            self.neck, self.hidden, self.pooling, self.tau, self.beta, self.dtype, name="temporal"
        )(fused_BxTx2D, mask_BxT)
