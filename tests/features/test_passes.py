import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2inet_jax.features.passes import plan


@given(st.integers(1, 200), st.integers(1, 40), st.integers(1, 3))
def test_every_frame_gets_one_row(total: int, length: int, spacing: int) -> None:
    """A frame that is not taken gets the row of the last frame taken before it."""
    source_frames = []
    for each in plan(total, length, spacing):
        assert len(each.frames) == length
        assert each.frames.min() >= 0
        assert each.frames.max() < total
        assert np.all(np.diff(each.frames) >= 0)
        source_frames += each.frames[each.rows].tolist()
    distance = np.arange(total) - np.array(source_frames)
    assert distance.min() >= 0
    # The first and the last frame of a span are taken, so that gaps may be a little wider than the spacing.
    gap = -(-(length * spacing - 1) // (length - 1)) if length > 1 else spacing
    assert distance.max() <= gap - 1


@pytest.mark.parametrize(
    ("total", "frames", "rows"),
    [
        (8, [[0, 1, 2, 3], [4, 5, 6, 7]], [[0, 1, 2, 3], [0, 1, 2, 3]]),
        # The last pass covers the last frames; rows that earlier passes gave are left out.
        (9, [[0, 1, 2, 3], [4, 5, 6, 7], [5, 6, 7, 8]], [[0, 1, 2, 3], [0, 1, 2, 3], [3]]),
        (3, [[0, 1, 2, 2]], [[0, 1, 2]]),
        (1, [[0, 0, 0, 0]], [[0]]),
    ],
)
def test_passes_of_four_frames(total: int, frames: list[list[int]], rows: list[list[int]]) -> None:
    found = plan(total, 4)
    assert [each.frames.tolist() for each in found] == frames
    assert [each.rows.tolist() for each in found] == rows


def test_spaced_clips_end_on_the_last_frame_of_their_span() -> None:
    """The frames are those of a linear spacing from 0 to 63, truncated to integers."""
    first, last = plan(100, 32, spacing=2)
    np.testing.assert_array_equal(first.frames, np.linspace(0, 63, 32).astype(int))
    np.testing.assert_array_equal(last.frames, first.frames + 36)
    assert first.rows.tolist()[:4] == [0, 0, 1, 1]
    assert first.rows.tolist()[-2:] == [30, 31]
    assert len(last.rows) == 36
