import jax
import numpy as np
import PIL.Image
import pytest

from a2inet_jax.video.sampling import (
    FR,
    PR,
    Sampling,
    frame_indices,
    patch_positions,
    resize_short_side,
)


def test_modes_of_the_paper() -> None:
    assert Sampling(None, None, 0, 768, 0) == FR
    assert Sampling(128, 540, 4, 768, 0) == PR


@pytest.mark.parametrize("total", [1, 2, 100, 127, 128])
def test_short_videos_are_used_whole(total: int) -> None:
    np.testing.assert_array_equal(frame_indices(total, 128), np.arange(total))
    np.testing.assert_array_equal(frame_indices(total, None), np.arange(total))


@pytest.mark.parametrize("total", [129, 200, 255, 256, 1000, 15_000, 2_000_000_000])
def test_frames_at_equal_intervals(total: int) -> None:
    indices = frame_indices(total, 128)
    assert indices.dtype == np.int32
    assert len(indices) == 128
    steps = np.diff(indices)
    assert steps.min() >= 1
    assert steps.max() - steps.min() <= 1
    # Symmetric: as far from the start as from the end.
    assert abs(int(indices[0]) - (total - 1 - int(indices[-1]))) <= 1


def test_frames_computed_by_hand() -> None:
    # Middles of four segments of ten frames: 1.25, 3.75, 6.25, 8.75.
    np.testing.assert_array_equal(frame_indices(10, 4), [1, 3, 6, 8])


def test_patch_positions_are_pinned() -> None:
    # A change here moves the patches: features extracted before and after it must not be mixed.
    positions = patch_positions("a video", 1080, 1920, PR)
    assert positions.tolist() == [[124, 990], [92, 837], [276, 870], [311, 1104]]


def test_patches_are_inside_the_frame_and_spread_out() -> None:
    sampling = Sampling(patches=2000, patch_size=768)
    positions = patch_positions("v", 800, 1000, sampling)
    assert positions.min() >= 0
    assert positions.max(axis=0).tolist() == [32, 232]
    assert positions.min(axis=0).tolist() == [0, 0]


def test_patch_positions_depend_on_seed_and_video() -> None:
    positions = patch_positions("v", 2160, 3840, PR)
    assert not np.array_equal(positions, patch_positions("w", 2160, 3840, PR))
    assert not np.array_equal(
        positions, patch_positions("v", 2160, 3840, Sampling(128, 540, 4, seed=1))
    )
    np.testing.assert_array_equal(positions, patch_positions("v", 2160, 3840, PR))
    assert len(np.unique(positions, axis=0)) == 4


def test_patch_covers_a_short_side() -> None:
    assert np.all(patch_positions("v", 540, 960, PR)[:, 0] == 0)
    assert np.any(patch_positions("v", 540, 960, PR)[:, 1] > 0)
    assert np.all(patch_positions("v", 768, 768, PR) == 0)
    assert patch_positions("v", 540, 960, FR).shape == (0, 2)


def resize(frames_NxHxWx3: np.ndarray, short_side: int) -> np.ndarray:
    # Compiled as a whole, it is ready much sooner.
    return np.asarray(jax.jit(resize_short_side, static_argnums=1)(frames_NxHxWx3, short_side))


def make_frames(height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (2, height // 8 + 1, width // 8 + 1, 3))
    smooth = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]
    return np.clip(smooth + rng.normal(0, 40, smooth.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [
        ((120, 200), 54, (54, 90)),
        ((200, 120), 54, (90, 54)),
        ((97, 65), 40, (60, 40)),
        ((64, 96), 100, (100, 150)),
        ((100, 101), 37, (37, 37)),
    ],
)
def test_matches_pillow(size: tuple[int, int], short_side: int, expected: tuple[int, int]) -> None:
    frames_NxHxWx3 = make_frames(*size)
    resized_NxHxWx3 = resize(frames_NxHxWx3, short_side)
    assert resized_NxHxWx3.shape == (2, *expected, 3)
    assert resized_NxHxWx3.dtype == np.uint8
    for resized, frame in zip(resized_NxHxWx3, frames_NxHxWx3):
        image = PIL.Image.fromarray(frame)
        expected_frame = np.asarray(image.resize(expected[::-1], PIL.Image.Resampling.BILINEAR))
        assert np.abs(resized.astype(int) - expected_frame).max() <= 1


def test_fine_stripes_do_not_alias() -> None:
    stripes = np.zeros((1, 128, 128, 3), np.uint8)
    stripes[:, :, ::2] = 200
    small = resize(stripes, 32).astype(int)
    assert np.abs(small[:, :, 2:-2] - 100).max() <= 2


def test_frames_of_the_right_size_are_unchanged() -> None:
    frames_NxHxWx3 = make_frames(54, 96)
    np.testing.assert_array_equal(resize(frames_NxHxWx3, 54), frames_NxHxWx3)


def test_flat_frames_stay_flat() -> None:
    for level in (0, 1, 254, 255):
        flat = np.full((1, 70, 90, 3), level, np.uint8)
        assert np.all(resize(flat, 33) == level)
