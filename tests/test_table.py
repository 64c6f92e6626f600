import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from a2inet_jax.backbones import conversion, table, weights
from tests.make_torch_expectations import EXPECTED, REAL_SIZE, SIZES, noise
from tests.test_conversion import published

WIDTHS = {  # channels of the four stages
    "resnet18_fdim": (64, 128, 256, 512),
    "efficientnet_lite0": (24, 40, 112, 320),
    "resnet34_unique": (64, 128, 256, 512),
    "resnet50_imagenet": (256, 512, 1024, 2048),
}


@functools.cache
def random_params(name: str) -> conversion.Params:
    backbone = table.BACKBONES[name]
    shapes = table.parameter_shapes(backbone)
    return conversion.convert(published(backbone), shapes, backbone.published)


def features(
    name: str, params: conversion.Params, frames: np.ndarray, dtype: jnp.dtype = jnp.float32
) -> np.ndarray:
    with jax.default_matmul_precision("highest"):
        run = jax.jit(functools.partial(table.frame_features, table.BACKBONES[name], dtype=dtype))
        return np.asarray(run(params, frames))


def assert_stages_close(name: str, found: np.ndarray, key: str, tolerance: float) -> None:
    """Means and deviations of each stage, within a share of their largest value."""
    with np.load(EXPECTED / "backbone_features.npz") as file:
        expected = file[key]
    assert found.shape == expected.shape == (1, table.BACKBONES[name].width)
    start = 0
    for width in np.repeat(WIDTHS[name], 2):
        part = slice(start, start + width)
        error = np.abs(found[:, part] - expected[:, part]).max()
        assert error <= tolerance * max(np.abs(expected[:, part]).max(), 1e-6), (key, start)
        start += width
    assert start == expected.shape[1]


@pytest.mark.parametrize(
    ("name", "size"),
    [(name, size) for name in WIDTHS for size in SIZES[:2]]
    + [("resnet18_fdim", SIZES[2]), ("efficientnet_lite0", SIZES[2])],
)
def test_features_equal_those_of_pytorch(name: str, size: tuple[int, int]) -> None:
    found = features(name, random_params(name), noise(*size))
    assert_stages_close(name, found, f"{name}_{size[0]}x{size[1]}", 1e-5)


def test_bfloat16_is_near() -> None:
    name = "resnet18_fdim"
    found = features(name, random_params(name), noise(65, 97), jnp.bfloat16)
    assert found.dtype == np.float32
    assert_stages_close(name, found, f"{name}_65x97", 2e-2)


def test_a_frame_has_the_same_features_in_any_company() -> None:
    name = "resnet18_fdim"
    frames = np.concatenate([noise(64, 96), noise(64, 96)[:, ::-1], noise(64, 96) // 2])
    together = features(name, random_params(name), frames)
    alone = features(name, random_params(name), frames[1:2])
    np.testing.assert_allclose(together[1:2], alone, rtol=1e-5, atol=1e-5)


def test_a_frame_that_is_too_small() -> None:
    frame = np.zeros((1, 31, 200, 3), np.uint8)
    with pytest.raises(ValueError, match="resnet18_fdim needs frames of at least 32 pixels a side"):
        table.frame_features(table.BACKBONES["resnet18_fdim"], {}, jnp.asarray(frame))


def test_missing_weights_say_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A2INET_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="run `a2inet weights get default`"):
        table.load_params(table.BACKBONES["resnet18_fdim"])
    with pytest.raises(ValueError, match="resnet34_unique has no weights that can be fetched"):
        table.load_params(table.BACKBONES["resnet34_unique"])
    with pytest.raises(ValueError, match="no weights called vgg"):
        weights.get("vgg")


@pytest.mark.network
def test_real_weights_give_the_features_that_pytorch_gives() -> None:
    paths = weights.get("default")
    assert paths == tuple(table.weights_path(name) for name in weights.DEFAULT)
    before = [path.stat().st_mtime_ns for path in paths]
    for name in weights.DEFAULT:
        params, identity = table.load_params(table.BACKBONES[name])
        assert identity == weights.SOURCES[name].sha256
        found = features(name, params, noise(*REAL_SIZE))
        assert_stages_close(name, found, f"{name}_real", 1e-5)
    assert [path.stat().st_mtime_ns for path in weights.get("default")] == before
