"""ResNet-18, -34 and -50 as frozen feature extractors (He et al., CVPR 2016, as torchvision lays them out).

Batch norm is already folded, so that every layer is a convolution with a bias. Padding is explicit and
symmetric, as in PyTorch; `SAME` would shift the strided layers. The strided convolution of a bottleneck is
its 3×3.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from a2inet_jax.backbones.conv2d import Conv, max_pool
from a2inet_jax.backbones.convert import TensorNames, torch_folded

EPSILON = 1e-5  # of the batch norms
STAGE_WIDTHS = (64, 128, 256, 512)
STAGE_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut (ResNet-18, -34)."""

    width: int
    stride: int
    dtype: DTypeLike = jnp.float32
    expansion = 1

    @nn.compact
    def __call__(self, x_BxHxWxC: jax.Array) -> jax.Array:
        """Return the block's map, [B, ⌈H/stride⌉, ⌈W/stride⌉, width]."""
        y = nn.relu(Conv(self.width, 3, self.stride, dtype=self.dtype, name="conv1")(x_BxHxWxC))
        y = Conv(self.width, 3, 1, dtype=self.dtype, name="conv2")(y)
        return nn.relu(y + _shortcut(x_BxHxWxC, self.width, self.stride, self.dtype))


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions and a shortcut (ResNet-50)."""

    width: int
    stride: int
    dtype: DTypeLike = jnp.float32
    expansion = 4

    @nn.compact
    def __call__(self, x_BxHxWxC: jax.Array) -> jax.Array:
        """Return the block's map, [B, ⌈H/stride⌉, ⌈W/stride⌉, 4 × width]."""
        channels = self.expansion * self.width
        y = nn.relu(Conv(self.width, 1, 1, dtype=self.dtype, name="conv1")(x_BxHxWxC))
        y = nn.relu(Conv(self.width, 3, self.stride, dtype=self.dtype, name="conv2")(y))
        y = Conv(channels, 1, 1, dtype=self.dtype, name="conv3")(y)
        return nn.relu(y + _shortcut(x_BxHxWxC, channels, self.stride, self.dtype))


def _shortcut(x: jax.Array, channels: int, stride: int, dtype: DTypeLike) -> jax.Array:
    """Return the input, or its projection if the block changes the shape."""
    if stride == 1 and x.shape[-1] == channels:
        return x
    return Conv(channels, 1, stride, dtype=dtype, name="downsample")(x)


class ResNet(nn.Module):
    """The four stages of a ResNet of depth 18, 34 or 50."""

    depth: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxHxWx3: jax.Array) -> list[jax.Array]:
        """Return the maps of the four stages, at strides 4, 8, 16 and 32 (sizes rounded up).

        Returns:
            Four arrays [B, h, w, C], with C = 64, 128, 256, 512 (ResNet-50: four times as many).
        """
        block = Bottleneck if self.depth == 50 else BasicBlock
        x = nn.relu(Conv(64, 7, 2, dtype=self.dtype, name="conv1")(x_BxHxWx3.astype(self.dtype)))
        x = max_pool(x, 3, 2, ((1, 1), (1, 1)))
        stages = []
        for stage, (width, blocks) in enumerate(zip(STAGE_WIDTHS, STAGE_BLOCKS[self.depth])):
            for index in range(blocks):
                stride = 2 if stage > 0 and index == 0 else 1
                x = block(width, stride, self.dtype, name=f"layer{stage + 1}_{index}")(x)
            stages.append(x)
        return stages


def published(path: Sequence[str]) -> TensorNames:
    """Return torchvision's names of a layer's tensors.

    Args:
        path: The layer's path among the parameters, such as `("layer1_0", "conv2")`.
    """
    *block, layer = path
    prefix = "".join(f"{name.replace('_', '.')}." for name in block)
    if layer == "downsample":
        return torch_folded(f"{prefix}downsample.0", f"{prefix}downsample.1")
    return torch_folded(f"{prefix}{layer}", f"{prefix}{layer.replace('conv', 'bn')}")
