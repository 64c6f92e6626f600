"""MANIQA as a frozen feature extractor (Yang et al., CVPR Workshops 2022), frames of 224×224.

The concatenated tokens of four blocks of a ViT-B/8 pass through two stages; each attends over channels,
reduces them to a quarter or a half, and attends within shifted windows. The features are the second stage's
tokens, from which the network's two heads make a score and a weight for each position.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from a2inet_jax.backbones.convert import PublishedLayout, TensorNames, torch_plain
from a2inet_jax.backbones.vit import Encoder, at_least_float32
from a2inet_jax.backbones.window_attention import SwinBlock, published_block

PATCH = 8  # pixels
BLOCKS = 10  # the last two of the encoder's twelve are not used
TAPPED = slice(6, 10)  # blocks whose tokens are used
WINDOW = (1, 4, 4)  # a frame is a clip of length one
HEADS = 4


class ChannelAttention(nn.Module):
    """x + softmax(q kᵀ / √N) v, in which channels attend to channels, each a vector of N positions.

    As published, the attended [C, N] is transposed to [N, C] and then reshaped to [C, N]: the weights are
    trained for this order.
    """

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxCxN: jax.Array) -> jax.Array:
        """Return [B, C, N]."""
        positions = x_BxCxN.shape[-1]
        q, k, v = (nn.Dense(positions, dtype=self.dtype, name=name)(x_BxCxN) for name in "qkv")
        wide = at_least_float32(self.dtype)
        logits_BxCxC = jnp.einsum("bcn,bdn->bcd", q, k, preferred_element_type=wide)
        attention_BxCxC = nn.softmax(logits_BxCxC * positions**-0.5).astype(self.dtype)
        y_BxNxC = jnp.einsum("bcd,bdn->bnc", attention_BxCxC, v)
        return x_BxCxN + y_BxNxC.reshape(x_BxCxN.shape)


class Stage(nn.Module):
    """Two channel attentions, a 1×1 convolution, and two layers of windowed attention with scaled residuals.

    Attributes:
        width: Output channels.
        hidden: Hidden channels of the MLPs.
        scale: Factor of the residuals.
    """

    width: int
    hidden: int
    scale: float
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxHxWxC: jax.Array) -> jax.Array:
        """Return [B, H, W, width]."""
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
        width: Channels of the encoder's tokens; 768 in the published network.
        scale: Factor of the residuals: 0.8, but 0.13 for the weights trained on PIPAL.
    """

    width: int = 768
    scale: float = 0.8
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_Bx224x224x3: jax.Array) -> list[jax.Array]:
        """Return the last layer's tokens of frames in [−1, 1], one array [B, 28, 28, width / 2]."""
        encoder = Encoder(PATCH, BLOCKS, self.width, self.dtype, name="encoder")
        x = jnp.concatenate(encoder(x_Bx224x224x3)[TAPPED], axis=-1)[:, 1:]
        side = x_Bx224x224x3.shape[1] // PATCH
        x = x.reshape(len(x), side, side, 4 * self.width)
        x = Stage(self.width, self.width, self.scale, self.dtype, name="stage_1")(x)
        return [Stage(self.width // 2, self.width, self.scale, self.dtype, name="stage_2")(x)]


def published(path: Sequence[str]) -> TensorNames:
    """Return the names of a layer's tensors in github.com/IIGROUP/MANIQA, and in timm within it."""
    module, name, *rest = path
    if module == "encoder":
        embeddings = {"class_token": "vit.cls_token", "position": "vit.pos_embed"}
        if name in embeddings:
            return embeddings[name]
        if name == "patches":
            return torch_plain("vit.patch_embed.proj")
        return torch_plain(".".join(["vit.blocks", name.removeprefix("block_"), *rest]))
    stage = module.removeprefix("stage_")
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


# Published files also hold the encoder's last two blocks and `downsample` convolutions, which have no effect.
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
