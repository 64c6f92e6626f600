"""Fast pathway of SlowFast 8×8 R50 (Feichtenhofer et al., ICCV 2019): a narrow ResNet-50 over every frame.

In SlowFast, lateral connections lead from the fast pathway to the slow one only. The fast pathway alone
therefore gives the same as inside the whole network, with 1.5 % of the parameters. It never strides over
time: a clip of T frames gives T rows.

Batch norm is already folded. Padding is explicit and symmetric in time and space. The first convolution of
a bottleneck spans three frames, its 3×3 has the stride.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from a2inet_jax.backbones.conv3d import ClipConv, max_pool
from a2inet_jax.backbones.convert import Folded, PublishedLayout, torch_folded

EPSILON = 1e-5  # of the batch norms
STAGES = ((3, 8), (4, 16), (6, 32), (3, 64))  # (blocks, channels of their 3×3)


class Bottleneck(nn.Module):
    """3×1×1, 1×3×3 and 1×1×1 convolutions and a shortcut."""

    width: int
    stride: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_NxTxHxWxC: jax.Array) -> jax.Array:
        """Return the block's map, [N, T, ⌈H/stride⌉, ⌈W/stride⌉, 4 × width]."""
        channels = 4 * self.width
        stride = (1, self.stride, self.stride)

        def conv(
            name: str,
            channels: int,
            kernel: tuple[int, int, int],
            stride: tuple[int, int, int] = (1, 1, 1),
        ) -> ClipConv:
            return ClipConv(channels, kernel, stride, dtype=self.dtype, name=name)

        y = nn.relu(conv("conv_a", self.width, (3, 1, 1))(x_NxTxHxWxC))
        y = nn.relu(conv("conv_b", self.width, (1, 3, 3), stride)(y))
        y = conv("conv_c", channels, (1, 1, 1))(y)
        shortcut = x_NxTxHxWxC
        if self.stride > 1 or shortcut.shape[-1] != channels:
            shortcut = conv("shortcut", channels, (1, 1, 1), stride)(shortcut)
        return nn.relu(y + shortcut)


class SlowFastR50Fast(nn.Module):
    """The fast pathway up to its last stage."""

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_NxTxHxWx3: jax.Array) -> list[jax.Array]:
        """Return the map of the last stage, one array [N, T, ⌈H/32⌉, ⌈W/32⌉, 256].

        Args:
            x_NxTxHxWx3: Normalised clips; the network was trained on every second of 64 frames.
        """
        stem = ClipConv(8, (5, 7, 7), (1, 2, 2), dtype=self.dtype, name="stem")
        x = max_pool(nn.relu(stem(x_NxTxHxWx3)), (1, 3, 3), (1, 2, 2))
        for stage, (blocks, width) in enumerate(STAGES, start=2):
            for index in range(blocks):
                stride = 2 if stage > 2 and index == 0 else 1
                x = Bottleneck(width, stride, self.dtype, name=f"res{stage}_{index}")(x)
        return [x]


def _pyslowfast(path: Sequence[str]) -> Folded:
    """Return PySlowFast's names of a layer's tensors."""
    if path[0] == "stem":
        return torch_folded("s1.pathway1_stem.conv", "s1.pathway1_stem.bn")
    stage, index = _stage_and_index(path[0])
    layer = {"shortcut": "branch1"}.get(path[1], f"branch2.{path[1][-1]}")
    name = f"s{stage}.pathway1_res{index}.{layer}"
    return torch_folded(name, f"{name}_bn")


def _pytorchvideo(path: Sequence[str]) -> Folded:
    """Return PyTorchVideo's names of a layer's tensors."""
    if path[0] == "stem":
        pathway = "blocks.0.multipathway_blocks.1"
        return torch_folded(f"{pathway}.conv", f"{pathway}.norm")
    stage, index = _stage_and_index(path[0])
    block = f"blocks.{stage - 1}.multipathway_blocks.1.res_blocks.{index}"
    if path[1] == "shortcut":
        return torch_folded(f"{block}.branch1_conv", f"{block}.branch1_norm")
    branch = f"{block}.branch2"
    return torch_folded(f"{branch}.{path[1]}", f"{branch}.{path[1].replace('conv', 'norm')}")


def _caffe2(path: Sequence[str]) -> Folded:
    """Return Caffe2's names of a layer's tensors; despite its name, `riv` is the variance."""
    if path[0] == "stem":
        return _caffe2_folded("t_conv1", "t_res_conv1_bn")
    layer = {"shortcut": "branch1"}.get(path[1], f"branch2{path[1][-1]}")
    name = f"t_{path[0]}_{layer}"
    return _caffe2_folded(name, f"{name}_bn")


def _caffe2_folded(conv: str, norm: str) -> Folded:
    return Folded(f"{conv}_w", f"{norm}_s", f"{norm}_b", f"{norm}_rm", f"{norm}_riv")


def _stage_and_index(block: str) -> tuple[int, int]:
    """Return stage and index of a block, from a name such as `res2_0`."""
    stage, index = block.removeprefix("res").split("_")
    return int(stage), int(index)


# Ignored are the slow pathway, the lateral connections, the head, and leftovers of training.
LAYOUTS = (
    PublishedLayout(
        _pyslowfast,
        EPSILON,
        ignored=("s?.pathway0_*", "s?_fuse.*", "head.*", "*.num_batches_tracked"),
    ),
    PublishedLayout(
        _pytorchvideo,
        EPSILON,
        ignored=(
            "*.multipathway_blocks.0.*",
            "*.multipathway_fusion.*",
            "blocks.6.*",
            "*.num_batches_tracked",
        ),
    ),
    PublishedLayout(
        _caffe2,
        EPSILON,
        ignored=(
            "conv1_*",
            "res*",
            "t_*_subsample_*",
            "pred_*",
            "*momentum*",
            "*lr*",
            "*model_iter*",
        ),
    ),
)
