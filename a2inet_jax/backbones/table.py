"""All backbones by name, and the two things one does with them: load parameters, describe frames."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from a2inet_jax.backbones import checkpoint, conversion, efficientnet_lite, resnet
from a2inet_jax.backbones.conversion import ConversionError, Params, Published
from a2inet_jax.backbones.pooling import pool_stages
from a2inet_jax.package_files import cache_dir, sha256

_COUNTERS = "*.num_batches_tracked"
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Backbone:
    """A frozen network with the way it is fed and the checkpoint it takes.

    Attributes:
      name: in the table.
      network: Linen module, normalised frames → four maps.
      width: of a frame's feature, twice the channels of all maps.
      mean: subtracted from RGB in [0, 1].
      std: divides what is left.
      min_side: shortest side of a frame, pixels: one place of the deepest map.
      published: layout of its checkpoints.
      weights: name of the weights that can be fetched, None where the user brings the file.
    """

    name: str
    network: nn.Module
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    min_side: int
    published: Published
    weights: str | None = None


_ENTRIES = (
    # ResNet-18 inside a full-reference video quality metric, which feeds it plain RGB.
    Backbone(
        name="resnet18_fdim",
        network=resnet.ResNet(18),
        width=1920,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        min_side=32,
        published=Published(
            names=resnet.published_names,
            epsilon=resnet.EPSILON,
            prefix="backbone.",
            ignored=(_COUNTERS, "DFFs.*", "attens.*", "fc.*"),
        ),
        weights="resnet18_fdim",
    ),
    # ImageNet; trained on (255 x − 127) / 128.
    Backbone(
        name="efficientnet_lite0",
        network=efficientnet_lite.EfficientNetLite0(),
        width=992,
        mean=(127 / 255, 127 / 255, 127 / 255),
        std=(128 / 255, 128 / 255, 128 / 255),
        min_side=32,
        published=Published(
            names=efficientnet_lite.published_names,
            epsilon=efficientnet_lite.EPSILON,
            ignored=(_COUNTERS, "_conv_head.*", "_bn1.*", "_fc.*"),
        ),
        weights="efficientnet_lite0",
    ),
    # UNIQUE (Zhang et al., TIP 2021): its own head `fc` and the unused one of ImageNet are left out.
    Backbone(
        name="resnet34_unique",
        network=resnet.ResNet(34),
        width=1920,
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
        min_side=32,
        published=Published(
            names=resnet.published_names,
            epsilon=resnet.EPSILON,
            prefix="backbone.",
            ignored=(_COUNTERS, "backbone.fc.*", "fc.*"),
        ),
    ),
    # torchvision's, `IMAGENET1K_V1` being what papers mean by a pretrained ResNet-50.
    Backbone(
        name="resnet50_imagenet",
        network=resnet.ResNet(50),
        width=7680,
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
        min_side=32,
        published=Published(
            names=resnet.published_names, epsilon=resnet.EPSILON, ignored=(_COUNTERS, "fc.*")
        ),
    ),
)
BACKBONES = {entry.name: entry for entry in _ENTRIES}


def weights_path(name: str) -> Path:
    """Where fetched and converted weights of this name are kept."""
    return cache_dir() / "weights" / f"{name}.safetensors"


def load_params(backbone: Backbone, weights: Path | None = None) -> tuple[Params, str]:
    """Parameters of a backbone, on the default device.

    Args:
      backbone: of the table.
      weights: a published checkpoint or a converted one; None for the weights that were fetched.

    Returns:
      Parameters, and the SHA-256 of the published checkpoint that they come from.

    Raises:
      FileNotFoundError: the file is missing; the message says how to get it.
      ValueError: the backbone has no weights to fetch, or the file doesn't fit it.
    """
    path = weights or _fetched(backbone)
    tensors = checkpoint.read(path)
    shapes = parameter_shapes(backbone)
    metadata = checkpoint.read_metadata(path)
    try:
        if conversion.is_folded(metadata):
            params, identity = conversion.restore(tensors, shapes), metadata["source_sha256"]
        else:
            params = conversion.convert(tensors, shapes, backbone.published)
            identity = sha256(path)
    except ConversionError as error:
        raise ConversionError(f"{path} doesn't fit {backbone.name}: {error}") from None
    return jax.tree.map(jnp.asarray, params), identity


def parameter_shapes(backbone: Backbone) -> Params:
    """Shapes and dtypes of a backbone's parameters, nothing computed."""
    frame = jax.ShapeDtypeStruct((1, backbone.min_side, backbone.min_side, 3), jnp.float32)
    return jax.eval_shape(backbone.network.init, jax.random.key(0), frame)["params"]


def frame_features(
    backbone: Backbone,
    params: Params,
    frames_BxHxWx3: jax.Array,
    dtype: DTypeLike = jnp.float32,
) -> jax.Array:
    """One vector a frame: mean ⊕ deviation of each stage. Pure; jit it with the backbone closed over.

    On a CPU the frames go through one after another: a frame's maps stay in the cache, which halves the
    time of EfficientNet-Lite0. Other devices take them together.

    Args:
      backbone: of the table.
      params: from `load_params`.
      frames_BxHxWx3: RGB, uint8.
      dtype: of the network's computation; pooling is float32 always.

    Returns:
      [B, backbone.width] float32, in the order of `pool_stages`.

    Raises:
      ValueError: a side is shorter than the backbone's minimum.
    """
    height, width = frames_BxHxWx3.shape[1:3]
    if min(height, width) < backbone.min_side:
        raise ValueError(
            f"{backbone.name} needs frames of at least {backbone.min_side} pixels a side, "
            f"these are {width}×{height}"
        )
    network = backbone.network.clone(dtype=dtype)
    mean = jnp.asarray(backbone.mean, jnp.float32).reshape(1, 1, 1, 3)
    std = jnp.asarray(backbone.std, jnp.float32).reshape(1, 1, 1, 3)

    def together(frames: jax.Array) -> jax.Array:
        rgb = frames.astype(jnp.float32) / 255
        maps = cast(list[jax.Array], network.apply({"params": params}, (rgb - mean) / std))
        return pool_stages(maps)

    def one_by_one(frames: jax.Array) -> jax.Array:
        return lax.map(lambda frame: together(frame[None])[0], frames)

    return lax.platform_dependent(frames_BxHxWx3, cpu=one_by_one, default=together)


def _fetched(backbone: Backbone) -> Path:
    if backbone.weights is None:
        raise ValueError(
            f"{backbone.name} has no weights that can be fetched: give its published checkpoint"
        )
    path = weights_path(backbone.weights)
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing: run `a2inet weights get default` to fetch the weights of "
            f"{backbone.name}"
        )
    return path
