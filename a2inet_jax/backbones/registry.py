"""All backbones by name: the network, how it is fed, and how its checkpoints are laid out."""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp

from a2inet_jax.backbones import efficientnet_lite, i3d, maniqa, resnet, slowfast, swin3d, vit
from a2inet_jax.backbones.convert import Params, PublishedLayout

_COUNTERS = "*.num_batches_tracked"

NORMALIZATIONS = {  # name → subtracted from RGB in [0, 1], and what divides the rest
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),  # [−1, 1]
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "kinetics": ((0.45, 0.45, 0.45), (0.225, 0.225, 0.225)),
    "tensorflow": ((127 / 255,) * 3, (128 / 255,) * 3),  # (255 x − 127) / 128
}


@dataclass(frozen=True)
class Backbone:
    """A frozen network with the way it is fed and the checkpoints it takes.

    Attributes:
      name: in the table, and of the weights that are taken where none are named.
      network: Linen module. Of single frames: [B, H, W, 3] → maps [B, h, w, C]. Of clips: [N, clip, H, W, 3]
        → maps [N, clip / stride, h, w, C]. Input is normalised.
      width: of a frame's feature, twice the channels of all maps.
      normalization: of its input, a name in `NORMALIZATIONS`.
      layouts: of its checkpoints.
      min_side: shortest side of a frame, pixels.
      clip: frames that go in together; 1 for a network of single frames.
      stride: consecutive frames that one row of its output stands for.
      tile: side of the squares that it takes, pixels; a frame is covered with them, and enlarged first
        where it is smaller. 0: any size.
      short_side: a frame's shorter side is resized to this first, pixels. 0: as it is.
    """

    name: str
    network: nn.Module
    width: int
    normalization: str
    layouts: tuple[PublishedLayout, ...]
    min_side: int = 32
    clip: int = 1
    stride: int = 1
    tile: int = 0
    short_side: int = 0

    def takes(self, chunk: int, spacing: int) -> tuple[int, int]:
        """Length and spacing of its passes: a chunk of frames one by one, or a clip of spaced ones."""
        return (self.clip, spacing) if self.clip > 1 else (chunk, 1)

    def shorter_side(self, height: int, width: int) -> int:
        """To how many pixels it brings the shorter side of a frame of so many."""
        return self.short_side or max(self.tile, min(height, width))

    def too_small(self, height: int, width: int) -> str:
        """Why it can't take frames of so many pixels; "" where it can."""
        if min(height, width) >= self.min_side:
            return ""
        return (
            f"frames of {width}×{height} pixels; {self.name} needs at least {self.min_side} a side"
        )


def _resnet(prefix: str = "", *ignored: str) -> tuple[PublishedLayout]:
    patterns = (_COUNTERS, *ignored)
    return (PublishedLayout(resnet.published, resnet.EPSILON, prefix, patterns),)


_ENTRIES = (
    # ResNet-18 inside a full-reference video quality metric, which feeds it plain RGB.
    Backbone(
        name="resnet18_fdim",
        network=resnet.ResNet(18),
        width=1920,
        normalization="none",
        layouts=_resnet("backbone.", "DFFs.*", "attens.*", "fc.*"),
    ),
    # ImageNet, as TensorFlow's networks are fed.
    Backbone(
        name="efficientnet_lite0",
        network=efficientnet_lite.EfficientNetLite0(),
        width=992,
        normalization="tensorflow",
        layouts=(
            PublishedLayout(
                efficientnet_lite.published,
                efficientnet_lite.EPSILON,
                ignored=(_COUNTERS, "_conv_head.*", "_bn1.*", "_fc.*"),
            ),
        ),
    ),
    # UNIQUE (Zhang et al., TIP 2021): its own head `fc` and the unused one of ImageNet are left out.
    Backbone(
        name="resnet34_unique",
        network=resnet.ResNet(34),
        width=1920,
        normalization="imagenet",
        layouts=_resnet("backbone.", "backbone.fc.*", "fc.*"),
    ),
    # torchvision's, `IMAGENET1K_V1` being what papers mean by a pretrained ResNet-50.
    Backbone(
        name="resnet50_imagenet",
        network=resnet.ResNet(50),
        width=7680,
        normalization="imagenet",
        layouts=_resnet("", "fc.*"),
    ),
    # Trained on 224×224: content doesn't hang on the frame's size, so its shorter side is brought to that.
    Backbone(
        name="vit_b_16",
        network=vit.ViTB16(),
        width=1536,
        normalization="imagenet",
        layouts=vit.LAYOUTS,
        tile=224,
        short_side=224,
    ),
    # Trained on squares cut out of images of full size, whose pixels quality does hang on.
    Backbone(
        name="maniqa",
        network=maniqa.Maniqa(),
        width=768,
        normalization="half",
        layouts=maniqa.LAYOUTS,
        tile=224,
    ),
    # Normalised as in PyTorchVideo; BVQA-2022, the nearest published feature, takes ImageNet's values.
    Backbone(
        name="slowfast_r50_fast",
        network=slowfast.SlowFastR50Fast(),
        width=512,
        normalization="kinetics",
        layouts=slowfast.LAYOUTS,
        clip=32,
    ),
    Backbone(
        name="swin3d_t",
        network=swin3d.Swin3DT(),
        width=1536,
        normalization="imagenet",
        layouts=swin3d.LAYOUTS,
        clip=32,
        stride=2,
    ),
    # Snippets of 16 frames are what its features are usually taken from; it was trained on 64.
    Backbone(
        name="i3d_kinetics400",
        network=i3d.I3D(),
        width=2048,
        normalization="half",
        layouts=i3d.LAYOUTS,
        clip=16,
        stride=8,
    ),
)
BACKBONES = {entry.name: entry for entry in _ENTRIES}


def parameter_shapes(backbone: Backbone) -> Params:
    """Shapes and dtypes of a backbone's parameters, nothing computed."""
    side = backbone.tile or backbone.min_side
    clip = (backbone.clip,) if backbone.clip > 1 else ()
    frames = jax.ShapeDtypeStruct((1, *clip, side, side, 3), jnp.float32)
    return jax.eval_shape(backbone.network.init, jax.random.key(0), frames)["params"]
