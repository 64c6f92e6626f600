"""Video Swin transformer, the tiny one, as a frozen feature extractor of clips (Liu et al., CVPR 2022).

Patches of 2×4×4 pass through four stages of blocks that attend in windows of 8×7×7. Between stages, 2×2
neighbours merge into one token of twice the channels. Sides that don't fit are padded with zeros at the end.
"""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from a2inet_jax.backbones.convert import Plain, PublishedLayout, TensorNames, torch_plain
from a2inet_jax.backbones.vit import layer_norm
from a2inet_jax.backbones.window_attention import EPSILON, SwinBlock, published_block

PATCH = (2, 4, 4)
WINDOW = (8, 7, 7)
STAGES = ((2, 3), (2, 6), (6, 12), (2, 24))  # (blocks, heads)


def _pad_to(x: jax.Array, steps: tuple[int, int, int]) -> jax.Array:
    """Pad [N, T, H, W, C] with zeros at the end, so that the sides are multiples of the steps."""
    pads = [(0, -side % step) for side, step in zip(x.shape[1:4], steps)]
    return jnp.pad(x, ((0, 0), *pads, (0, 0)))


class Merging(nn.Module):
    """A layer that merges 2×2 neighbours into one token of twice the channels."""

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_NxTxHxWxC: jax.Array) -> jax.Array:
        """Return [N, T, ⌈H/2⌉, ⌈W/2⌉, 2C]."""
        x = _pad_to(x_NxTxHxWxC, (1, 2, 2))
        # The trained order: vertical neighbours first.
        x = jnp.concatenate([x[:, :, i::2, j::2] for j in (0, 1) for i in (0, 1)], axis=-1)
        x = layer_norm("norm", EPSILON, self.dtype)(x)
        return nn.Dense(x.shape[-1] // 2, use_bias=False, dtype=self.dtype, name="reduction")(x)


class Swin3DT(nn.Module):
    """Video Swin-T; `width` is the channels of the first stage, 96 in the published network."""

    width: int = 96
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_NxTxHxWx3: jax.Array) -> list[jax.Array]:
        """Return the tokens after the last layer norm, one array [N, ⌈T/2⌉, ⌈H/32⌉, ⌈W/32⌉, 8 × width]."""
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


def published(path: Sequence[str], official: bool = False) -> TensorNames:
    """Return torchvision's names of a layer's tensors, in which stages and mergings alternate in one list.

    Or the `official` ones, of github.com/SwinTransformer/Video-Swin-Transformer.
    """
    (kind, *numbers), rest = path[0].split("_"), path[1:]
    if kind == "block":
        stage, index = numbers
        if official:
            return published_block(f"layers.{stage}.blocks.{index}", rest)
        return published_block(f"features.{2 * int(stage)}.{index}", rest, ("mlp.0", "mlp.3"))
    if kind == "merging":
        (stage,) = numbers
        merging = f"layers.{stage}.downsample" if official else f"features.{2 * int(stage) + 1}"
        if rest[0] == "reduction":
            return Plain(f"{merging}.reduction.weight", None)
        return torch_plain(f"{merging}.norm")
    names = {"patches": "patch_embed.proj", "patches_norm": "patch_embed.norm", "norm": "norm"}
    return torch_plain(names[path[0]])


_official = partial(published, official=True)
_INDEX = "*.relative_position_index"
LAYOUTS = (
    PublishedLayout(published, ignored=(_INDEX, "head.*")),
    PublishedLayout(_official, ignored=(_INDEX,)),
    PublishedLayout(_official, prefix="backbone.", ignored=(_INDEX, "cls_head.*")),
)
