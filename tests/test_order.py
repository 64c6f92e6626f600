"""Which videos each step takes, and how long they are made."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2inet_jax.training import batch_plan


@pytest.mark.parametrize(("n", "width"), [(12, None), (13, None), (3, None), (13, 8), (1, 8)])
def test_an_epoch_takes_every_video_once(n: int, width: int | None) -> None:
    part = np.arange(100, 100 + n)
    found = batch_plan.shuffled([(0, 1, 2)], [part], 4, width)
    assert found.rows.shape == found.where.shape == (1, -(-n // 4), width or 4)
    np.testing.assert_array_equal(np.sort(found.rows[found.where]), part)
    np.testing.assert_array_equal(found.rows[~found.where], 0)
    # Only the last batch is short, and no batch holds more than its four videos.
    np.testing.assert_array_equal(found.where[0, :-1].sum(axis=1), 4)
    assert found.where[0, -1].sum() == n - 4 * (found.where.shape[1] - 1)


def test_the_order_is_a_function_of_the_key_alone() -> None:
    part = np.arange(40)
    first = batch_plan.shuffled([(7, 0, 1)], [part], 8)
    np.testing.assert_array_equal(first.rows, batch_plan.shuffled([(7, 0, 1)], [part], 8).rows)
    for key in [(8, 0, 1), (7, 1, 1), (7, 0, 2)]:
        assert (first.rows != batch_plan.shuffled([key], [part], 8).rows).any()
    # The width that devices need does not change who shares a batch.
    wide = batch_plan.shuffled([(7, 0, 1)], [part], 8, 24)
    np.testing.assert_array_equal(first.rows, wide.rows[:, :, :8])


def test_a_member_has_the_order_that_it_has_alone() -> None:
    parts = [np.arange(9), np.arange(20, 41), np.arange(50, 51)]
    keys = [(0, s, 3) for s in range(3)]
    together = batch_plan.shuffled(keys, parts, 4)
    assert together.rows.shape == (3, 6, 4)
    for s in range(3):
        alone = batch_plan.shuffled(keys[s : s + 1], parts[s : s + 1], 4)
        steps = alone.rows.shape[1]
        np.testing.assert_array_equal(together.rows[s, :steps], alone.rows[0])
        np.testing.assert_array_equal(together.where[s, :steps], alone.where[0])
        assert not together.where[s, steps:].any()


def test_without_a_key_the_order_is_kept() -> None:
    found = batch_plan.arrange([np.array([5, 3, 9])], 2)
    np.testing.assert_array_equal(found.rows, [[[5, 3], [9, 0]]])
    np.testing.assert_array_equal(found.where, [[[True, True], [True, False]]])
    part = found.steps(1, 2)
    np.testing.assert_array_equal(part.rows, [[[9, 0]]])


def test_nothing_to_arrange() -> None:
    assert batch_plan.arrange([np.zeros(0, np.int32)], 4).rows.shape == (1, 0, 4)


@given(
    lengths=st.lists(st.integers(1, 900), min_size=1, max_size=60),
    number=st.integers(1, 6),
)
def test_every_video_is_in_the_shortest_bucket_that_holds_it(
    lengths: list[int], number: int
) -> None:
    array = np.array(lengths)
    found = batch_plan.buckets(array, number)
    assert 1 <= len(found) <= number
    assert list(found) == sorted(set(found))
    assert max(lengths) <= found[-1] < max(lengths) + 8
    for length in lengths:
        bucket = batch_plan.bucket(length, found)
        assert length <= bucket
        assert not any(length <= other < bucket for other in found)
    parts = [np.arange(len(lengths)), np.arange(len(lengths))[::2]]
    seen: list[list[int]] = [[], []]
    for upper, places in batch_plan.by_length(parts, array, found):
        for s in range(2):
            assert all(batch_plan.bucket(n, found) == upper for n in array[parts[s][places[s]]])
            seen[s] += places[s].tolist()
    assert [sorted(each) for each in seen] == [list(range(len(part))) for part in parts]
