import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest

from a2inet_jax.video.resize import resize_short_side


def resize(frames_NxHxWx3: np.ndarray, short_side: int) -> np.ndarray:
    return np.asarray(resize_short_side(jnp.asarray(frames_NxHxWx3), short_side))


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
