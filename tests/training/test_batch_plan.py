"""Batch plans and padded lengths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2inet_jax.training import batch_plan


@pytest.mark.parametrize(("n", "slots"), [(12, None), (13, None), (3, None), (13, 8), (1, 8)])
def test_epoch_has_every_video_once(n: int, slots: int | None) -> None:
    subset = np.arange(100, 100 + n)
    found = batch_plan.shuffled([(0, 1, 2)], [subset], 4, slots)
    assert found.indices.shape == found.where.shape == (1, -(-n // 4), slots or 4)
    np.testing.assert_array_equal(np.sort(found.indices[found.where]), subset)
    np.testing.assert_array_equal(found.indices[~found.where], 0)
    # Only the last batch is short, and no batch holds more than its four videos.
    np.testing.assert_array_equal(found.where[0, :-1].sum(axis=1), 4)
    assert found.where[0, -1].sum() == n - 4 * (found.where.shape[1] - 1)


def test_order_depends_on_the_key_alone() -> None:
    subset = np.arange(40)
    first = batch_plan.shuffled([(7, 0, 1)], [subset], 8)
    np.testing.assert_array_equal(
        first.indices, batch_plan.shuffled([(7, 0, 1)], [subset], 8).indices
    )
    for key in [(8, 0, 1), (7, 1, 1), (7, 0, 2)]:
        assert (first.indices != batch_plan.shuffled([key], [subset], 8).indices).any()
    # Padding for the devices does not change which videos share a batch.
    padded = batch_plan.shuffled([(7, 0, 1)], [subset], 8, 24)
    np.testing.assert_array_equal(first.indices, padded.indices[:, :, :8])


def test_member_has_the_order_that_it_has_alone() -> None:
    subsets = [np.arange(9), np.arange(20, 41), np.arange(50, 51)]
    keys = [(0, s, 3) for s in range(3)]
    together = batch_plan.shuffled(keys, subsets, 4)
    assert together.indices.shape == (3, 6, 4)
    for s in range(3):
        alone = batch_plan.shuffled(keys[s : s + 1], subsets[s : s + 1], 4)
        steps = alone.indices.shape[1]
        np.testing.assert_array_equal(together.indices[s, :steps], alone.indices[0])
        np.testing.assert_array_equal(together.where[s, :steps], alone.where[0])
        assert not together.where[s, steps:].any()


def test_in_order_keeps_the_order() -> None:
    found = batch_plan.in_order([np.array([5, 3, 9])], 2)
    np.testing.assert_array_equal(found.indices, [[[5, 3], [9, 0]]])
    np.testing.assert_array_equal(found.where, [[[True, True], [True, False]]])
    last = found.steps(1, 2)
    np.testing.assert_array_equal(last.indices, [[[9, 0]]])


def test_plan_without_videos() -> None:
    assert batch_plan.in_order([np.zeros(0, np.int32)], 4).indices.shape == (1, 0, 4)


@given(
    lengths=st.lists(st.integers(1, 900), min_size=1, max_size=60),
    num_buckets=st.integers(1, 6),
)
def test_every_video_is_in_the_shortest_bucket_that_holds_it(
    lengths: list[int], num_buckets: int
) -> None:
    array = np.array(lengths)
    found = batch_plan.bucket_lengths(array, num_buckets)
    assert 1 <= len(found) <= num_buckets
    assert list(found) == sorted(set(found))
    assert max(lengths) <= found[-1] < max(lengths) + 8
    for length in lengths:
        bucket = batch_plan.padded_length(length, found)
        assert length <= bucket
        assert not any(length <= other < bucket for other in found)
    subsets = [np.arange(len(lengths)), np.arange(len(lengths))[::2]]
    seen: list[list[int]] = [[], []]
    for bucket, positions in batch_plan.group_by_bucket(subsets, array, found):
        for s in range(2):
            grouped = array[subsets[s][positions[s]]]
            assert all(batch_plan.padded_length(length, found) == bucket for length in grouped)
            seen[s] += positions[s].tolist()
    assert [sorted(each) for each in seen] == [list(range(len(subset))) for subset in subsets]
