"""The frozen networks in PyTorch, for comparison with the JAX ones: torchvision's, timm's and PyTorchVideo's.

Weights and statistics are random. Normalization and pooling are written for speed: they follow the memory
layout, and the standard deviation takes a single pass (`torch.std` is ten times slower).
"""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from a2inet_jax.backbones.registry import NORMALIZATIONS, Backbone

# Network, normalized frames or clip with channels second → feature maps with channels last.
Maps = Callable[[Any, Tensor], list[Tensor]]


class FeatureExtractor(nn.Module):
    """A network from frames to features, those of `frame_features.extract_features`."""

    def __init__(self, network: nn.Module, maps: Maps, backbone: Backbone) -> None:
        super().__init__()
        self.network, self.maps, self.clip = network, maps, backbone.clip_frames > 1
        shift, scale = (
            torch.tensor(values).reshape(1, 1, 1, 3)
            for values in NORMALIZATIONS[backbone.normalization]
        )
        self.register_buffer("shift", shift)
        self.register_buffer("scale", scale)

    def forward(self, frames_BxHxWx3: Tensor, rows: int) -> Tensor:
        """Return features `[rows, width]`; a row pools all tiles of a frame."""
        x = (frames_BxHxWx3.float() / 255 - self.shift) / self.scale
        x = x.to(next(self.network.parameters()).dtype)
        x = x.permute(3, 0, 1, 2)[None] if self.clip else x.permute(0, 3, 1, 2)
        pooled = []
        for values in self.maps(self.network, x):
            positions = values.float().reshape(rows, -1, values.shape[-1])
            mean = positions.mean(1, keepdim=True)
            squares = (positions - mean).square_().sum(1)
            pooled += [mean[:, 0], (squares / max(positions.shape[1] - 1, 1)).sqrt()]
        return torch.cat(pooled, 1)


def build(backbone: Backbone) -> tuple[FeatureExtractor, dict[str, np.ndarray]] | None:
    """Return the network with random weights, and these named as in its published checkpoints.

    Returns:
        None if PyTorch has no such network.

    Raises:
        ImportError: The package of the network is missing; the message names it.
    """
    if backbone.name not in _BUILDERS:
        return None
    network, maps, names = _BUILDERS[backbone.name]()
    network.eval().requires_grad_(False)
    _randomize_batch_norms(network)
    prefix = backbone.layouts[0].prefix
    tensors = {
        prefix + names(name): tensor.numpy().copy() for name, tensor in network.state_dict().items()
    }
    return FeatureExtractor(network, maps, backbone), tensors


def _randomize_batch_norms(network: nn.Module) -> None:
    """Draw statistics and scales of batch norms, which start as 0 and 1; all else is random already."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.uniform_(0.3, 0.8)
            module.bias.uniform_(-0.2, 0.2)


def _unchanged(name: str) -> str:
    return name


def _channels_last(x: Tensor) -> Tensor:
    """Move the channels of images last."""
    return x.permute(0, 2, 3, 1)


# Network, its feature maps, and the published name of a tensor.
Built = tuple[nn.Module, Maps, Callable[[str], str]]


def _resnet(depth: int) -> Built:
    network: Any = getattr(importlib.import_module("torchvision.models"), f"resnet{depth}")()
    network.fc = nn.Identity()

    def maps(network: Any, x: Tensor) -> list[Tensor]:
        x = network.maxpool(network.relu(network.bn1(network.conv1(x))))
        found = []
        for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
            x = stage(x)
            found.append(_channels_last(x))
        return found

    return network, maps, _unchanged


def _lite0() -> Built:
    network: Any = importlib.import_module("timm").create_model("tf_efficientnet_lite0")
    # Blocks of timm's stages → indices of the published blocks.
    block_index: dict[str, int] = {}
    for stage, blocks in enumerate(network.blocks):
        block_index |= {f"blocks.{stage}.{i}": len(block_index) + i for i in range(len(blocks))}
    layers = {"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv"}
    layers |= {"bn2": "_bn1", "conv_pwl": "_project_conv", "bn3": "_bn2"}
    first = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}

    def published(name: str) -> str:
        parts = name.split(".")
        if parts[0] == "blocks":
            block = block_index[".".join(parts[:3])]
            layer = (first if block == 0 else layers)[parts[3]]
            return ".".join([f"_blocks.{block}", layer, *parts[4:]])
        ends = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head"}
        ends |= {"bn2": "_bn1", "classifier": "_fc"}
        return ".".join([ends[parts[0]], *parts[1:]])

    def maps(network: Any, x: Tensor) -> list[Tensor]:
        x = network.bn1(network.conv_stem(x))
        found = []
        for stage, blocks in enumerate(network.blocks):
            x = blocks(x)
            if stage in (1, 2, 4, 6):
                found.append(_channels_last(x))
        return found

    return network, maps, published


def _vit() -> Built:
    network: Any = importlib.import_module("torchvision.models").vit_b_16()

    def maps(network: Any, x: Tensor) -> list[Tensor]:
        x = network._process_input(x)
        x = torch.cat([network.class_token.expand(len(x), -1, -1), x], 1)
        return [network.encoder(x)[:, 1:]]

    return network, maps, _unchanged


def _swin3d() -> Built:
    network: Any = importlib.import_module("torchvision.models.video").swin3d_t()

    def maps(network: Any, x: Tensor) -> list[Tensor]:
        return [network.norm(network.features(network.pos_drop(network.patch_embed(x))))[0]]

    return network, maps, _unchanged


def _slowfast() -> Built:
    """Build the fast pathway alone."""
    network: Any = importlib.import_module("pytorchvideo.models.slowfast").create_slowfast(
        slowfast_channel_reduction_ratio=(8,), slowfast_fusion_conv_kernel_size=(7, 1, 1)
    )
    fast = nn.Sequential(*(block.multipathway_blocks[1] for block in network.blocks[:5]))
    fast.eval()

    def maps(network: Any, x: Tensor) -> list[Tensor]:
        return [network(x)[0].permute(1, 2, 3, 0)]

    def published(name: str) -> str:
        block, rest = name.split(".", 1)
        return f"blocks.{block}.multipathway_blocks.1.{rest}"

    return fast, maps, published


_BUILDERS: dict[str, Callable[[], Built]] = {
    "resnet18_fdim": lambda: _resnet(18),
    "efficientnet_lite0": _lite0,
    "resnet34_unique": lambda: _resnet(34),
    "resnet50_imagenet": lambda: _resnet(50),
    "vit_b_16": _vit,
    "swin3d_t": _swin3d,
    "slowfast_r50_fast": _slowfast,
}
