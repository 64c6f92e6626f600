"""Registry of all backbones: the networks, their inputs, and the layouts of their checkpoints."""

import functools
from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp

from a2inet_jax.backbones import efficientnet_lite, i3d, maniqa, resnet, slowfast, swin3d, vit
from a2inet_jax.backbones.convert import Params, PublishedLayout

_BATCH_COUNTERS = "*.num_batches_tracked"

# By name: the shift subtracted from RGB in [0, 1], and the scale it is then divided by.
NORMALIZATIONS = {
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),  # [−1, 1]
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "kinetics": ((0.45, 0.45, 0.45), (0.225, 0.225, 0.225)),
    "tensorflow": ((127 / 255,) * 3, (128 / 255,) * 3),  # (255 x − 127) / 128
}


@dataclass(frozen=True)
class Backbone:
    """A frozen network, its input and its checkpoints.

    Attributes:
        name: Name in the registry, and of its default weights.
        network: Linen module that takes normalised input. A network of single frames maps [B, H, W, 3] to
            arrays [B, h, w, C], one of clips [N, T, H, W, 3] to arrays [N, T / frames_per_row, h, w, C].
            Its `dtype` is the compute dtype; parameters are float32.
        width: Width of a frame's feature vector, twice the channels of all maps.
        normalization: Normalization of its input, a name in `NORMALIZATIONS`.
        layouts: Known layouts of its checkpoints.
        min_side_px: Smallest side of a frame, pixels.
        clip_frames: Frames of a clip; 1 for a network of single frames.
        frames_per_row: Consecutive frames that one row of the output covers.
        tile_px: Side of the square tiles that it takes, pixels; tiles cover a frame, which is enlarged first
            if it is smaller. 0: any size.
        short_side_px: Short side to which frames are resized first, pixels. 0: none.
    """

    name: str
    network: nn.Module
    width: int
    normalization: str
    layouts: tuple[PublishedLayout, ...]
    min_side_px: int = 32
    clip_frames: int = 1
    frames_per_row: int = 1
    tile_px: int = 0
    short_side_px: int = 0

    def pass_shape(self, chunk: int, spacing: int) -> tuple[int, int]:
        """Return length and spacing of its passes: a chunk of single frames, or a clip of spaced frames."""
        return (self.clip_frames, spacing) if self.clip_frames > 1 else (chunk, 1)

    def resized_short_side(self, height: int, width: int) -> int:
        """Return the short side, in pixels, to which it resizes a frame of this size."""
        return self.short_side_px or max(self.tile_px, min(height, width))

    def size_problem(self, height: int, width: int) -> str:
        """Return why it cannot take frames of this size; "" if it can."""
        if min(height, width) >= self.min_side_px:
            return ""
        return f"frames of {width}×{height} pixels; {self.name} needs at least {self.min_side_px} per side"


def _resnet_layouts(prefix: str = "", *ignored: str) -> tuple[PublishedLayout]:
    patterns = (_BATCH_COUNTERS, *ignored)
    return (PublishedLayout(resnet.published, resnet.EPSILON, prefix, patterns),)


_ENTRIES = (
    # ResNet-18 inside a full-reference video quality metric, which feeds it plain RGB.
    Backbone(
        name="resnet18_fdim",
        network=resnet.ResNet(18),
        width=1920,
        normalization="none",
        layouts=_resnet_layouts("backbone.", "DFFs.*", "attens.*", "fc.*"),
    ),
    # Trained on ImageNet, with the input of TensorFlow's networks.
    Backbone(
        name="efficientnet_lite0",
        network=efficientnet_lite.EfficientNetLite0(),
        width=992,
        normalization="tensorflow",
        layouts=(
            PublishedLayout(
                efficientnet_lite.published,
                efficientnet_lite.EPSILON,
                ignored=(_BATCH_COUNTERS, "_conv_head.*", "_bn1.*", "_fc.*"),
            ),
        ),
    ),
    # UNIQUE (Zhang et al., TIP 2021), without its own head `fc` and ImageNet's unused one.
    Backbone(
        name="resnet34_unique",
        network=resnet.ResNet(34),
        width=1920,
        normalization="imagenet",
        layouts=_resnet_layouts("backbone.", "backbone.fc.*", "fc.*"),
    ),
    # torchvision's; papers that say "pretrained ResNet-50" mean its `IMAGENET1K_V1`.
    Backbone(
        name="resnet50_imagenet",
        network=resnet.ResNet(50),
        width=7680,
        normalization="imagenet",
        layouts=_resnet_layouts("", "fc.*"),
    ),
    # Trained on 224×224. Content does not depend on a frame's size, so frames are resized to that.
    Backbone(
        name="vit_b_16",
        network=vit.ViTB16(),
        width=1536,
        normalization="imagenet",
        layouts=vit.LAYOUTS,
        tile_px=224,
        short_side_px=224,
    ),
    # Trained on crops of full-size images: quality does depend on the original pixels.
    Backbone(
        name="maniqa",
        network=maniqa.Maniqa(),
        width=768,
        normalization="half",
        layouts=maniqa.LAYOUTS,
        tile_px=224,
    ),
    # Normalised as in PyTorchVideo; BVQA-2022, the closest published feature, uses ImageNet's values.
    Backbone(
        name="slowfast_r50_fast",
        network=slowfast.SlowFastR50Fast(),
        width=512,
        normalization="kinetics",
        layouts=slowfast.LAYOUTS,
        clip_frames=32,
    ),
    Backbone(
        name="swin3d_t",
        network=swin3d.Swin3DT(),
        width=1536,
        normalization="imagenet",
        layouts=swin3d.LAYOUTS,
        clip_frames=32,
        frames_per_row=2,
    ),
    # Its features are usually extracted from snippets of 16 frames; it was trained on 64.
    Backbone(
        name="i3d_kinetics400",
        network=i3d.I3D(),
        width=2048,
        normalization="half",
        layouts=i3d.LAYOUTS,
        clip_frames=16,
        frames_per_row=8,
    ),
)
BACKBONES = {entry.name: entry for entry in _ENTRIES}


@functools.cache
def parameter_shapes(backbone: Backbone) -> Params:
    """Return shapes and dtypes of a backbone's parameters without computing anything."""
    side = backbone.tile_px or backbone.min_side_px
    clip = (backbone.clip_frames,) if backbone.clip_frames > 1 else ()
    frames = jax.ShapeDtypeStruct((1, *clip, side, side, 3), jnp.float32)
    return jax.eval_shape(backbone.network.init, jax.random.key(0), frames)["params"]
