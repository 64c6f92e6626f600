import numpy as np
import pytest

from a2inet_jax.video.sampling import FR, PR, Sampling, frame_indices, patch_positions


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
