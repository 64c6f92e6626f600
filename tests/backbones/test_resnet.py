"""ResNets, compared to torchvision's; a wrong padding, stride or ε would exceed the tolerance by far."""

import jax.numpy as jnp
import numpy as np
import pytest

from a2inet_jax.backbones import registry
from tests.make_torch_expectations import SIZES, noise
from tests.parity import assert_maps_close, features
from tests.published import random_params

CHANNELS = {
    "resnet18_fdim": (64, 128, 256, 512),
    "resnet34_unique": (64, 128, 256, 512),
    "resnet50_imagenet": (256, 512, 1024, 2048),
}


@pytest.mark.parametrize(
    ("name", "size"),
    [(name, size) for name in CHANNELS for size in SIZES[:2]] + [("resnet18_fdim", SIZES[2])],
)
def test_features_equal_those_of_pytorch(name: str, size: tuple[int, int]) -> None:
    found = features(name, random_params(registry.BACKBONES[name]), noise(*size))
    key = f"{name}_{size[0]}x{size[1]}"
    assert_maps_close(found, "backbone_features.npz", key, CHANNELS[name], 1e-5)


@pytest.mark.parametrize("name", CHANNELS)
def test_bfloat16_is_close(name: str) -> None:
    found = features(name, random_params(registry.BACKBONES[name]), noise(65, 97), jnp.bfloat16)
    assert found.dtype == np.float32
    assert_maps_close(found, "backbone_features.npz", f"{name}_65x97", CHANNELS[name], 2e-2)
