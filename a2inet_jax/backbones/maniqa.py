"""MANIQA as a frozen feature extractor (Yang et al., CVPR Workshops 2022), frames of 224×224.

Tokens of four blocks of a ViT-B/8, side by side, go through two stages; each attends over channels, halves or
quarters them, and attends within shifted windows. Features are the tokens behind the second stage, of which
the network's two heads make a score and a weight for each place.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from a2inet_jax.backbones.convert import PublishedLayout, Source, torch_plain
from a2inet_jax.backbones.vit import Encoder, at_least_float32
from a2inet_jax.backbones.window_attention import SwinBlock, published_block

PATCH = 8  # pixels
BLOCKS = 10  # of the encoder's twelve that are needed
TAKEN = slice(6, 10)  # whose tokens are taken
WINDOW = (1, 4, 4)  # a frame is a clip of length one
HEADS = 4


class ChannelAttention(nn.Module):
    """x + softmax(q kᵀ / √N) v, where channels attend to channels and what they carry are the N places.

    As published, the attended [C, N] is transposed to [N, C] and those numbers are read off as [C, N]: the
    weights are trained for this order.
    """

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxCxN: jax.Array) -> jax.Array:
        """Returns [B, C, N]."""
        places = x_BxCxN.shape[-1]
        q, k, v = (nn.Dense(places, dtype=self.dtype, name=name)(x_BxCxN) for name in "qkv")
        wide = at_least_float32(self.dtype)
        scores = jnp.einsum("bcn,bdn->bcd", q, k, preferred_element_type=wide) * places**-0.5
        weights = nn.softmax(scores).astype(self.dtype)
        y_BxNxC = jnp.einsum("bcd,bdn->bnc", weights, v)
        return x_BxCxN + y_BxNxC.reshape(x_BxCxN.shape)


class Stage(nn.Module):
    """Two channel attentions, a 1×1 convolution and two layers of windows, each with a scaled residual.

    Attributes:
      width: channels that it gives.
      hidden: channels within the MLPs.
      scale: of what a layer of windows adds.
      dtype: of the computation; parameters are float32.
    """

    width: int
    hidden: int
    scale: float
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxHxWxC: jax.Array) -> jax.Array:
        """Returns [B, H, W, width]."""
        batch, height, width, channels = x_BxHxWxC.shape
        x = x_BxHxWxC.reshape(batch, height * width, channels).swapaxes(1, 2)
        for index in range(2):
            x = ChannelAttention(self.dtype, name=f"channels_{index}")(x)
        x = x.swapaxes(1, 2).reshape(x_BxHxWxC.shape)
        x = nn.Conv(self.width, (1, 1), dtype=self.dtype, name="reduce")(x)
        for layer in range(2):
            y = x[:, None]
            for index in range(2):
                name = f"layer_{layer}_{index}"
                y = SwinBlock(HEADS, WINDOW, index == 1, self.hidden, self.dtype, name=name)(y)
            conv = nn.Conv(self.width, (3, 3), dtype=self.dtype, name=f"layer_{layer}_conv")
            x = x + self.scale * nn.relu(conv(y[:, 0]))
        return x


class Maniqa(nn.Module):
    """MANIQA up to its heads.

    Attributes:
      width: channels of a token of the encoder; the published network's are 768.
      scale: of what a layer of windows adds: 0.8, but for the weights trained on PIPAL 0.13.
      dtype: of the computation; parameters are float32.
    """

    width: int = 768
    scale: float = 0.8
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_Bx224x224x3: jax.Array) -> list[jax.Array]:
        """The tokens of the last layer, as one map.

        Args:
          x_Bx224x224x3: frames in [−1, 1].

        Returns:
          One array [B, 28, 28, width / 2].
        """
        encoder = Encoder(PATCH, BLOCKS, self.width, self.dtype, name="encoder")
        x = jnp.concatenate(encoder(x_Bx224x224x3)[TAKEN], axis=-1)[:, 1:]
        side = x_Bx224x224x3.shape[1] // PATCH
        x = x.reshape(len(x), side, side, 4 * self.width)
        x = Stage(self.width, self.width, self.scale, self.dtype, name="stage_1")(x)
        return [Stage(self.width // 2, self.width, self.scale, self.dtype, name="stage_2")(x)]


def published(path: Sequence[str]) -> Source:
    """Tensors of a layer as github.com/IIGROUP/MANIQA, and timm within it, name them.

    Args:
      path: the layer among the parameters, like `("stage_1", "channels_0", "q")`.
    """
    part, name, *rest = path
    if part == "encoder":
        outside = {"class_token": "vit.cls_token", "position": "vit.pos_embed"}
        if name in outside:
            return outside[name]
        if name == "patches":
            return torch_plain("vit.patch_embed.proj")
        return torch_plain(".".join(["vit.blocks", name.removeprefix("block_"), *rest]))
    stage = part.removeprefix("stage_")
    if name == "reduce":
        return torch_plain(f"conv{stage}")
    kind, *numbers = name.split("_")
    if kind == "channels":
        return torch_plain(f"tablock{stage}.{numbers[0]}.c_{rest[0]}")
    layer, index = numbers
    prefix = f"swintransformer{stage}.layers.{layer}"
    if index == "conv":
        return torch_plain(f"{prefix}.conv")
    return published_block(f"{prefix}.blocks.{index}", rest)


# The encoder's last two blocks and the convolutions called `downsample` are there and have no effect.
LAYOUTS = (
    PublishedLayout(
        published,
        ignored=(
            "*.relative_position_index",
            "*.attn_mask",
            "vit.blocks.1[01].*",
            "vit.norm.*",
            "vit.head.*",
            "swintransformer?.downsample.*",
            "fc_score.*",
            "fc_weight.*",
        ),
    ),
)
