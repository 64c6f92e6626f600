"""A2INet: the head that turns two streams of frozen features into a video's score."""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from a2inet_jax.model.cagi import CAGI
from a2inet_jax.model.catm import CATM
from a2inet_jax.model.cgin import NormAxis
from a2inet_jax.model.linear import Linear
from a2inet_jax.model.masking import zero_padding
from a2inet_jax.model.outputs import Outputs
from a2inet_jax.model.temporal import TemporalNetwork


class A2INet(nn.Module):
    """FC of each stream, CAGI, CATM, temporal network; a padded video scores what it scores alone.

    Attributes:
        width: D, the features of each stream after its FC layer.
        fusion: "cagi", or "concat", which puts the two streams side by side in CAGI's place.
        norm_axis: What CGIN's statistics run over: "time" or "channel".
        reduction: r, by which the gates of CATM are narrower than D.
        kernel: Frames that CATM's convolutions see.
        neck: Features of a frame that enter the GRU.
        hidden: Hidden units of the GRU.
        tau: Frames of the temporal pooling's windows.
        beta: Weight of the present against the memory in the temporal pooling.
        dtype: Of the computation, bfloat16 for speed; norms, softmax, GRU and scores are float32 or
            wider, and parameters start as float32.
    """

    width: int = 1024
    fusion: Literal["cagi", "concat"] = "cagi"
    norm_axis: NormAxis = "time"
    reduction: int = 4
    kernel: int = 3
    neck: int = 128
    hidden: int = 32
    tau: int = 12
    beta: float = 0.5
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, streams: tuple[jax.Array, jax.Array], mask: jax.Array) -> Outputs:
        """Scores a batch.

        Args:
            streams: Quality `[B, T, Dq]` and semantic `[B, T, Ds]` features of the same frames, any
                float type; anything may stand in the padding.
            mask: `[B, T]` bool, True for each video's frames, False behind its end.

        Returns:
            The scores, and each frame's.

        Raises:
            ValueError: `fusion` or `norm_axis` is none of its values.
        """
        quality, semantic = (
            Linear(self.width, dtype=self.dtype, name=name)(zero_padding(stream, mask))
            for name, stream in zip(("quality_fc", "semantic_fc"), streams, strict=True)
        )
        if self.fusion == "cagi":
            fused = CAGI(self.norm_axis, self.dtype, name="cagi")(quality, semantic, mask)
        elif self.fusion == "concat":
            fused = jnp.concatenate([quality, semantic], axis=-1)
        else:
            raise ValueError(f"fusion is {self.fusion!r}; take 'cagi' or 'concat'")
        modeled = CATM(self.width, self.reduction, self.kernel, self.dtype, name="catm")(
            fused, mask
        )
        return TemporalNetwork(
            self.neck, self.hidden, self.tau, self.beta, self.dtype, name="temporal"
        )(modeled, mask)
