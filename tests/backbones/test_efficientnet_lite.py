"""EfficientNet-Lite0, compared to the PyTorch port published with its weights."""

import jax.numpy as jnp
import pytest

from a2inet_jax.backbones import registry
from tests.make_torch_expectations import SIZES, noise
from tests.parity import assert_maps_close, features
from tests.published import random_params

NAME = "efficientnet_lite0"
CHANNELS = (24, 40, 112, 320)


@pytest.mark.parametrize("size", SIZES)
def test_features_equal_those_of_pytorch(size: tuple[int, int]) -> None:
    found = features(NAME, random_params(registry.BACKBONES[NAME]), noise(*size))
    key = f"{NAME}_{size[0]}x{size[1]}"
    assert_maps_close(found, "backbone_features.npz", key, CHANNELS, 1e-5)


def test_bfloat16_is_close() -> None:
    found = features(NAME, random_params(registry.BACKBONES[NAME]), noise(65, 97), jnp.bfloat16)
    assert_maps_close(found, "backbone_features.npz", f"{NAME}_65x97", CHANNELS, 2e-2)
