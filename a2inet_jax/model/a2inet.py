"""A2INet: the head that turns two streams of frozen features into a video's score."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from a2inet_jax.config import Fusion, Model, Normalization, NormAxis, Pooling
from a2inet_jax.model.cagi import CAGI
from a2inet_jax.model.catm import CATM
from a2inet_jax.model.linear import Linear
from a2inet_jax.model.masking import zero_padding
from a2inet_jax.model.mlp import MLP
from a2inet_jax.model.outputs import Outputs
from a2inet_jax.model.temporal import TemporalNetwork


class A2INet(nn.Module):
    """FC of each stream, CAGI, CATM, temporal network; a padded video scores what it scores alone.

    What happened inside can be looked at:

        outputs, state = model.apply(
            {"params": params}, streams, mask, mutable="intermediates"
        )
        inside = state["intermediates"]
        inside["cagi"]["attention"]["attention"][0]       # [B, T, T], a query's row sums to 1
        inside["catm"]["quality_saliency"]["gate"][0]     # [B, 1, D], in (0, 1)
        inside["catm"]["content_variation"]["gate"][0]    # [B, 1, D]

    Attributes:
        width: D, the features of each stream after its FC layer.
        fusion: How the streams become one of width 2D: "cagi"; "concat", side by side; "concat_mlp",
            side by side and through an FC layer, ReLU and dropout.
        dropout: Rate of "concat_mlp"'s dropout; the paper gives none, 0.5 is torch's default.
        normalization: CAGI's: "cgin", "fgin_s_to_q", "fgin_q_to_s", "adain_s_to_q" or
            "adain_q_to_s".
        norm_axis: What its statistics run over: "time" or "channel".
        attention: False leaves CAGI's attention out.
        catm: False lets the fused streams go straight into the temporal network.
        reduction: r, by which the gates of CATM are narrower than D.
        kernel: Frames that CATM's convolutions see.
        neck: Features of a frame that enter the GRU.
        hidden: Hidden units of the GRU.
        pooling: Of the frame scores: "subjective", or "mean".
        tau: Frames of the subjective pooling's windows.
        beta: Weight of the present against the memory in the subjective pooling.
        dtype: Of the computation, bfloat16 for speed; norms, softmax, GRU and scores are float32 or
            wider, and parameters start as float32.
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
        self, streams: Sequence[jax.Array], mask: jax.Array, keys: jax.Array | None = None
    ) -> Outputs:
        """Scores a batch.

        Args:
            streams: Quality `[B, T, Dq]` and semantic `[B, T, Ds]` features of the same frames, any
                float type; anything may stand in the padding.
            mask: `[B, T]` bool, True for each video's frames, False behind its end.
            keys: `[B]` typed PRNG keys, one a video, for the dropout; None for no dropout, which is
                how videos are scored.

        Returns:
            The scores, and each frame's.

        Raises:
            ValueError: There are not two streams, or a field is none of its values.
        """
        if len(streams) != 2:
            raise ValueError(
                f"A2INet takes two streams, quality and semantic, not {len(streams)}; VSFA takes any"
            )
        quality, semantic = (
            Linear(self.width, dtype=self.dtype, name=name)(zero_padding(stream, mask))
            for name, stream in zip(("quality_fc", "semantic_fc"), streams)
        )
        together = jnp.concatenate([quality, semantic], axis=-1)
        match self.fusion:
            case "cagi":
                cagi = CAGI(
                    self.normalization, self.norm_axis, self.attention, self.dtype, name="cagi"
                )
                fused = cagi(quality, semantic, mask)
            case "concat":
                fused = together
            case "concat_mlp":
                fused = MLP(self.dropout, self.dtype, name="mlp")(together, keys)
            case _:
                raise ValueError(
                    f"fusion is {self.fusion!r}; take 'cagi', 'concat' or 'concat_mlp'"
                )
        if self.catm:
            fused = CATM(self.width, self.reduction, self.kernel, self.dtype, name="catm")(
                fused, mask
            )
        return TemporalNetwork(
            self.neck, self.hidden, self.pooling, self.tau, self.beta, self.dtype, name="temporal"
        )(fused, mask)
