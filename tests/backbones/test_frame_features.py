"""Frames to features: normalised, cut to tiles, and pooled."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2inet_jax.backbones import frame_features
from a2inet_jax.backbones.frame_features import pool_stages
from a2inet_jax.backbones.registry import BACKBONES, Backbone
from a2inet_jax.video.sampling import resize_short_side
from tests.make_torch_expectations import noise
from tests.parity import QUICKLY_COMPILED, features
from tests.published import random_params


class Identity(nn.Module):
    """A network whose only map is its input."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> list[jax.Array]:
        return [x.astype(self.dtype)]


class EveryOther(nn.Module):
    """A network whose map is every other frame of a clip."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x_NxTxHxWx3: jax.Array) -> list[jax.Array]:
        return [x_NxTxHxWx3[:, ::2].astype(self.dtype)]


def frames(number: int, height: int, width: int) -> np.ndarray:
    shape = (number, height, width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def extract(backbone: Backbone, given: np.ndarray) -> np.ndarray:
    run = jax.jit(functools.partial(frame_features.extract_features, backbone, {}))
    return np.asarray(run(given))


def moments(x: np.ndarray) -> np.ndarray:
    """Return mean and deviation over positions, in float64."""
    positions = x.astype(np.float64).reshape(len(x), -1, 3)
    return np.concatenate([positions.mean(axis=1), positions.std(axis=1, ddof=1)], axis=1)


def test_frames_are_normalized() -> None:
    given = frames(2, 40, 50)
    for name, expected in {
        "none": given / 255,
        "half": given / 127.5 - 1,
        "imagenet": (given / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225),
        "kinetics": (given / 255 - 0.45) / 0.225,
        "tensorflow": (given - 127.0) / 128,
    }.items():
        found = extract(Backbone("identity", Identity(), 6, name, ()), given)
        np.testing.assert_allclose(found, moments(expected), atol=2e-6)


def test_a_frames_features_do_not_depend_on_the_batch() -> None:
    name = "resnet18_fdim"
    three = np.concatenate([noise(64, 96), noise(64, 96)[:, ::-1], noise(64, 96) // 2])
    params = random_params(BACKBONES[name])
    together, alone = features(name, params, three), features(name, params, three[1:2])
    np.testing.assert_allclose(together[1:2], alone, rtol=1e-5, atol=1e-5)


def test_rows_of_a_clip_repeat_for_the_frames_they_cover() -> None:
    backbone = Backbone("clips", EveryOther(), 6, "none", (), clip_frames=4, frames_per_row=2)
    given = frames(4, 40, 50)
    np.testing.assert_allclose(
        extract(backbone, given), moments(given[[0, 0, 2, 2]] / 255), atol=1e-6
    )
    with pytest.raises(ValueError, match="clips takes clips of 4 frames, not 3"):
        extract(backbone, given[:3])


def test_features_are_of_the_tiles_that_cover_a_frame() -> None:
    """Positions in two tiles count twice."""
    backbone = Backbone("tiles", Identity(), 6, "none", (), tile_px=32)
    given = frames(2, 32, 70)
    tiles = [given[:, :, left : left + 32] for left in (0, 19, 38)]
    expected = moments(np.concatenate(tiles, axis=2) / 255)
    np.testing.assert_allclose(extract(backbone, given), expected, atol=1e-6)


def test_frames_are_resized_before_tiling() -> None:
    backbone = Backbone("tiles", Identity(), 6, "none", (), tile_px=24, short_side_px=24)
    given = frames(1, 40, 60)
    small = np.asarray(resize_short_side(jnp.asarray(given), 24))
    assert small.shape == (1, 24, 36, 3)
    expected = moments(np.concatenate([small[:, :, :24], small[:, :, 12:]], axis=2) / 255)
    np.testing.assert_allclose(extract(backbone, given), expected, atol=1e-6)


def test_frames_smaller_than_a_tile_are_enlarged() -> None:
    backbone = Backbone("tiles", Identity(), 6, "none", (), tile_px=48)
    given = frames(1, 32, 40)
    large = np.asarray(resize_short_side(jnp.asarray(given), 48))
    assert large.shape == (1, 48, 60, 3)
    expected = moments(np.concatenate([large[:, :, :48], large[:, :, 12:]], axis=2) / 255)
    np.testing.assert_allclose(extract(backbone, given), expected, atol=1e-6)
    (maps,) = frame_features.feature_maps(backbone, {}, jnp.asarray(given))
    assert frame_features.join_tiles(maps[..., 0], backbone, 32, 40).shape == (1, 48, 60)


@given(st.integers(16, 200), st.integers(16, 200))
def test_tiles_cover_every_pixel(height: int, width: int) -> None:
    covered = np.zeros((height, width), int)
    corners = frame_features.tile_corners(height, width, 16)
    for top, left in corners:
        assert top >= 0
        assert left >= 0
        assert top + 16 <= height
        assert left + 16 <= width
        covered[top : top + 16, left : left + 16] += 1
    assert covered.min() == 1
    assert len(corners) == -(-height // 16) * -(-width // 16)


def test_features_are_the_pooled_maps() -> None:
    name = "resnet18_fdim"
    params = random_params(BACKBONES[name])
    run = jax.jit(
        functools.partial(frame_features.feature_maps, BACKBONES[name]),
        compiler_options=QUICKLY_COMPILED,
    )
    maps = run(params, noise(64, 96))
    assert [each.shape for each in maps] == [
        (1, 16, 24, 64),
        (1, 8, 12, 128),
        (1, 4, 6, 256),
        (1, 2, 3, 512),
    ]
    np.testing.assert_allclose(
        pool_stages(maps), features(name, params, noise(64, 96)), rtol=1e-5, atol=1e-5
    )


def test_a_frame_that_is_too_small_is_an_error() -> None:
    with pytest.raises(ValueError, match="300×31 pixels; resnet18_fdim needs at least 32 per side"):
        frame_features.extract_features(
            BACKBONES["resnet18_fdim"], {}, jnp.zeros((1, 31, 300, 3), jnp.uint8)
        )


def test_maps_of_tiles_are_joined() -> None:
    """The stacked tiles of a smooth frame make the frame again."""
    backbone = Backbone("tiles", Identity(), 6, "none", (), tile_px=32)
    ramp = np.add.outer(np.arange(40), np.arange(70)).astype(np.uint8)
    given = jnp.asarray(np.repeat(ramp[None, :, :, None], 3, axis=3))
    (maps,) = frame_features.feature_maps(backbone, {}, given)
    assert maps.shape == (1, 6 * 32, 32, 3)
    joined = frame_features.join_tiles(maps[..., 0], backbone, 40, 70)
    np.testing.assert_allclose(joined, ramp[None] / 255, atol=1e-6)


def test_mean_and_unbiased_deviation_stage_by_stage() -> None:
    random = np.random.default_rng(0)
    maps = [random.normal(size=(2, 4, 6, 3)), random.normal(size=(2, 2, 3, 5))]
    expected = np.concatenate(
        [
            moment
            for values in maps
            for moment in (values.mean(axis=(1, 2)), values.std(axis=(1, 2), ddof=1))
        ],
        axis=-1,
    )
    found = pool_stages([jnp.asarray(values) for values in maps])
    assert found.shape == (2, 16)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_map_of_one_position_has_no_deviation() -> None:
    found = pool_stages([jnp.full((1, 1, 1, 2), 3.0)])
    np.testing.assert_array_equal(found, [[3, 3, 0, 0]])


def test_a_small_deviation_around_a_large_mean_does_not_cancel() -> None:
    values = 1e4 + np.array([0.0, 1.0, 0.0, 1.0], np.float32).reshape(1, 2, 2, 1)
    found = pool_stages([jnp.asarray(values)])
    np.testing.assert_allclose(found[0, 1], values.std(ddof=1), rtol=1e-5)


def test_bfloat16_maps_are_pooled_in_float32() -> None:
    values = np.arange(1, 4097, dtype=np.float32).reshape(1, 64, 64, 1) % 7
    found = pool_stages([jnp.asarray(values, jnp.bfloat16)])
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found[0], [values.mean(), values.std(ddof=1)], rtol=1e-5)
