"""Features packed and dealt into batches."""

import numpy as np
import pytest

from a2inet_jax.training.batches import Features, batches, epoch_batches
from tests.training_inputs import make_features


def test_pack_pads_with_zeros_and_masks() -> None:
    videos = [(np.ones((2, 3)), np.full((2, 1), 7.0)), (np.ones((4, 3)), np.full((4, 1), 7.0))]
    features = Features.pack(["a", "b"], videos, [1.5, 3.0])
    assert [s.shape for s in features.streams] == [(2, 4, 3), (2, 4, 1)]
    assert all(s.dtype == np.float16 for s in features.streams)
    np.testing.assert_array_equal(features.mask, [[1, 1, 0, 0], [1, 1, 1, 1]])
    np.testing.assert_array_equal(features.streams[1][0, :, 0], [7, 7, 0, 0])
    np.testing.assert_array_equal(features.rows(["b", "a", "b"]), [1, 0, 1])


def test_pack_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="video b"):
        Features.pack(["b"], [(np.ones((2, 3)), np.ones((3, 1)))], [1.0])
    with pytest.raises(ValueError, match="video b"):
        Features.pack(["b"], [(np.ones((0, 3)), np.ones((0, 1)))], [1.0])
    with pytest.raises(ValueError, match="2 ids"):
        Features.pack(["a", "b"], [(np.ones((2, 3)),)], [1.0])


def test_rows_names_a_video_without_features() -> None:
    with pytest.raises(ValueError, match="1 videos of the split, nowhere the first"):
        make_features().rows(["v00", "nowhere"])


def test_digest_sees_every_part() -> None:
    features = make_features()
    streams = tuple(s.copy() for s in features.streams)
    streams[1][3, 0, 0] += 1
    others = [
        make_features(seed=1),
        Features(features.ids, streams, features.mask, features.mos),
        Features(features.ids, features.streams, features.mask, features.mos + 1),
        Features(features.ids[::-1], features.streams, features.mask, features.mos),
        Features(features.ids, features.streams, ~features.mask, features.mos),
    ]
    assert make_features().digest == features.digest
    assert len({features.digest, *(other.digest for other in others)}) == 6


@pytest.mark.parametrize(("n", "width"), [(12, None), (13, None), (3, None), (13, 8), (1, 8)])
def test_an_epoch_takes_every_row_once(n: int, width: int | None) -> None:
    rows = np.arange(100, 100 + n)
    order = epoch_batches((0, 1, 2), rows, 4, width)
    assert order.rows.shape == order.where.shape == (-(-n // 4), width or 4)
    np.testing.assert_array_equal(np.sort(order.rows[order.where]), rows)
    np.testing.assert_array_equal(order.rows[~order.where], 0)
    # Only the last batch is short, and no batch holds more than its four rows.
    np.testing.assert_array_equal(order.where[:-1].sum(axis=1), 4)
    assert order.where[-1].sum() == n - 4 * (len(order.where) - 1)


def test_order_is_a_function_of_the_key_alone() -> None:
    rows = np.arange(40)
    first = epoch_batches((7, 0, 1), rows, 8)
    np.testing.assert_array_equal(first.rows, epoch_batches((7, 0, 1), rows, 8).rows)
    for key in [(8, 0, 1), (7, 1, 1), (7, 0, 2)]:
        assert (first.rows != epoch_batches(key, rows, 8).rows).any()
    # The width that devices need does not change who shares a batch.
    np.testing.assert_array_equal(first.rows, epoch_batches((7, 0, 1), rows, 8, 24).rows[:, :8])


def test_without_a_key_the_order_is_kept() -> None:
    order = batches(np.array([5, 3, 9]), 2)
    np.testing.assert_array_equal(order.rows, [[5, 3], [9, 0]])
    np.testing.assert_array_equal(order.where, [[True, True], [True, False]])
