"""Video Swin transformer, the tiny one, as a frozen feature extractor of clips (Liu et al., CVPR 2022).

Patches of 2×4×4, four stages of blocks with attention in windows of 8×7×7, and between stages 2×2 neighbours
merged into one token of twice the channels. Sides that don't fit are padded with zeros at their ends.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from a2inet_jax.backbones.convert import Plain, PublishedLayout, Source, torch_plain
from a2inet_jax.backbones.vit import layer_norm
from a2inet_jax.backbones.window_attention import EPSILON, SwinBlock, published_block

PATCH = (2, 4, 4)
WINDOW = (8, 7, 7)
STAGES = ((2, 3), (2, 6), (6, 12), (2, 24))  # blocks, heads


def _pad_to(x: jax.Array, steps: tuple[int, int, int]) -> jax.Array:
    """[N, T, H, W, C] with zeros behind, so that each side is a whole number of steps."""
    pads = [(0, -side % step) for side, step in zip(x.shape[1:4], steps)]
    return jnp.pad(x, ((0, 0), *pads, (0, 0)))


class Merging(nn.Module):
    """2×2 neighbours → one token of twice the channels."""

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_NxTxHxWxC: jax.Array) -> jax.Array:
        """Returns [N, T, ⌈H/2⌉, ⌈W/2⌉, 2C]."""
        x = _pad_to(x_NxTxHxWxC, (1, 2, 2))
        # Down first, then to the right.
        x = jnp.concatenate([x[:, :, i::2, j::2] for j in (0, 1) for i in (0, 1)], axis=-1)
        x = layer_norm("norm", EPSILON, self.dtype)(x)
        return nn.Dense(x.shape[-1] // 2, use_bias=False, dtype=self.dtype, name="reduction")(x)


class Swin3DT(nn.Module):
    """Video Swin-T.

    Attributes:
      width: channels of the first stage; the published network's are 96.
      dtype: of the computation; parameters are float32.
    """

    width: int = 96
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_NxTxHxWx3: jax.Array) -> list[jax.Array]:
        """The tokens behind the last layer norm, as one map.

        Args:
          x_NxTxHxWx3: normalised clips, of any length and size.

        Returns:
          One array [N, ⌈T/2⌉, ⌈H/32⌉, ⌈W/32⌉, 8 × width].
        """
        x = _pad_to(x_NxTxHxWx3, PATCH)
        x = nn.Conv(self.width, PATCH, PATCH, "VALID", dtype=self.dtype, name="patches")(x)
        x = layer_norm("patches_norm", EPSILON, self.dtype)(x)
        for stage, (blocks, heads) in enumerate(STAGES):
            if stage:
                x = Merging(self.dtype, name=f"merging_{stage - 1}")(x)
            hidden = 4 * x.shape[-1]
            for index in range(blocks):
                name = f"block_{stage}_{index}"
                x = SwinBlock(heads, WINDOW, index % 2 == 1, hidden, self.dtype, name=name)(x)
        return [layer_norm("norm", EPSILON, self.dtype)(x)]


def published(path: Sequence[str]) -> Source:
    """Tensors of a layer as torchvision names them: stages and mergings take turns in one list.

    Args:
      path: the layer among the parameters, like `("block_2_0", "attn", "qkv")`.
    """
    (kind, *numbers), rest = path[0].split("_"), path[1:]
    if kind == "merging":
        return _merging(f"features.{2 * int(numbers[0]) + 1}", rest[0])
    if kind == "block":
        stage, index = numbers
        return published_block(f"features.{2 * int(stage)}.{index}", rest, ("mlp.0", "mlp.3"))
    return _ends(path[0])


def published_official(path: Sequence[str]) -> Source:
    """Tensors of a layer as github.com/SwinTransformer/Video-Swin-Transformer names them."""
    (kind, *numbers), rest = path[0].split("_"), path[1:]
    if kind == "merging":
        return _merging(f"layers.{numbers[0]}.downsample", rest[0])
    if kind == "block":
        stage, index = numbers
        return published_block(f"layers.{stage}.blocks.{index}", rest)
    return _ends(path[0])


def _merging(prefix: str, layer: str) -> Source:
    if layer == "reduction":
        return Plain(f"{prefix}.reduction.weight", None)
    return torch_plain(f"{prefix}.norm")


def _ends(layer: str) -> Source:
    names = {"patches": "patch_embed.proj", "patches_norm": "patch_embed.norm", "norm": "norm"}
    return torch_plain(names[layer])


_INDEX = "*.relative_position_index"
LAYOUTS = (
    PublishedLayout(published, ignored=(_INDEX, "head.*")),
    PublishedLayout(published_official, ignored=(_INDEX,)),
    PublishedLayout(published_official, prefix="backbone.", ignored=(_INDEX, "cls_head.*")),
)
