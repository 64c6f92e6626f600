"""EfficientNet-Lite0 as a frozen feature extractor (Tan and Le, ICML 2019; the Lite variant of 2020).

Lite has no squeeze-and-excitation, and ReLU6 in place of swish. Batch norm is already folded, so that every
layer is a convolution with a bias. Padding is TensorFlow's `SAME` for a map's actual size: at even sizes a
strided layer pads less before than after.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from a2inet_jax.backbones.conv2d import Conv, taps, window_pads
from a2inet_jax.backbones.convert import TensorNames, torch_folded

EPSILON = 1e-3  # of the batch norms

# Groups of blocks: (blocks, depthwise kernel, stride of the first, expansion, output channels).
GROUPS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
# Indices of the groups that give the last maps at strides 4, 8, 16 and 32.
STAGE_ENDS = (1, 2, 4, 6)


def _relu6(x: jax.Array) -> jax.Array:
    return jnp.clip(x, 0, 6)


class DepthwiseConv(nn.Module):
    """A depthwise k×k convolution with `SAME` padding and a bias.

    It is a sum of k² shifted products, which XLA turns into one loop over memory; on a CPU that is several
    times faster than its grouped convolution.
    """

    kernel: int
    stride: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxHxWxC: jax.Array) -> jax.Array:
        """Return [B, ⌈H/stride⌉, ⌈W/stride⌉, C]."""
        k, stride = self.kernel, self.stride
        channels = x_BxHxWxC.shape[-1]
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (k, k, 1, channels))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        kernel, bias = kernel.astype(self.dtype), bias.astype(self.dtype)
        pads = window_pads(x_BxHxWxC.shape[1:3], (k, k), (stride, stride), same=True)
        x = jnp.pad(x_BxHxWxC, ((0, 0), *pads, (0, 0)))
        y = bias.reshape(1, 1, 1, channels)
        for row, weights in zip(taps(x, k, stride, axis=1), kernel):
            for window, weight in zip(taps(row, k, stride, axis=2), weights):
                y = y + window * weight.reshape(1, 1, 1, channels)
        return y


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution and linear projection, with a shortcut where shapes allow."""

    kernel: int
    stride: int
    expansion: int
    channels: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxHxWxC: jax.Array) -> jax.Array:
        """Return the block's map, [B, ⌈H/stride⌉, ⌈W/stride⌉, channels]."""
        inputs = x = x_BxHxWxC
        if self.expansion > 1:
            x = _relu6(Conv(self.expansion * x.shape[-1], dtype=self.dtype, name="expand")(x))
        x = _relu6(DepthwiseConv(self.kernel, self.stride, self.dtype, name="depthwise")(x))
        x = Conv(self.channels, dtype=self.dtype, name="project")(x)
        return x + inputs if x.shape == inputs.shape else x


class EfficientNetLite0(nn.Module):
    """The four stages of EfficientNet-Lite0."""

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxHxWx3: jax.Array) -> list[jax.Array]:
        """Return the last maps at strides 4, 8, 16 and 32 (sizes rounded up), before any activation.

        Returns:
            Four arrays [B, h, w, C], with C = 24, 40, 112 and 320.
        """
        x = x_BxHxWx3.astype(self.dtype)
        x = _relu6(Conv(32, 3, 2, same=True, dtype=self.dtype, name="stem")(x))
        stages = []
        block = 0
        for group, (blocks, kernel, first_stride, expansion, channels) in enumerate(GROUPS):
            for index in range(blocks):
                stride = first_stride if index == 0 else 1
                name = f"blocks_{block}"
                x = InvertedResidual(kernel, stride, expansion, channels, self.dtype, name=name)(x)
                block += 1
            if group in STAGE_ENDS:
                stages.append(x)
        return stages


def published(path: Sequence[str]) -> TensorNames:
    """Return the names of a layer's tensors, such as `("blocks_3", "depthwise")`, in the PyTorch port."""
    if tuple(path) == ("stem",):
        return torch_folded("_conv_stem", "_bn0")
    block, layer = path
    prefix = f"_{block.replace('_', '.')}."
    norm = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}[layer]
    return torch_folded(f"{prefix}_{layer}_conv", f"{prefix}{norm}")
