"""Batch plans and padded lengths; batches gathered on the device, and batches collated by the host."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2inet_jax.config import Train
from a2inet_jax.model.a2inet import A2INet
from a2inet_jax.training import batches, loader, loop, parallel
from a2inet_jax.training.batches import BatchIndices, collate, flatten, gather
from a2inet_jax.training.data import TrainingData
from tests.training_inputs import assert_close, make_data, make_members


@pytest.mark.parametrize(("n", "slots"), [(12, None), (13, None), (3, None), (13, 8), (1, 8)])
def test_epoch_has_every_video_once(n: int, slots: int | None) -> None:
    subset = np.arange(100, 100 + n)
    found = batches.shuffled([(0, 1, 2)], [subset], 4, slots)
    assert found.indices.shape == found.where.shape == (1, -(-n // 4), slots or 4)
    np.testing.assert_array_equal(np.sort(found.indices[found.where]), subset)
    np.testing.assert_array_equal(found.indices[~found.where], 0)
    # Only the last batch is short, and no batch holds more than its four videos.
    np.testing.assert_array_equal(found.where[0, :-1].sum(axis=1), 4)
    assert found.where[0, -1].sum() == n - 4 * (found.where.shape[1] - 1)


def test_order_depends_on_the_key_alone() -> None:
    subset = np.arange(40)
    first = batches.shuffled([(7, 0, 1)], [subset], 8)
    np.testing.assert_array_equal(first.indices, batches.shuffled([(7, 0, 1)], [subset], 8).indices)
    for key in [(8, 0, 1), (7, 1, 1), (7, 0, 2)]:
        assert (first.indices != batches.shuffled([key], [subset], 8).indices).any()
    # Padding for the devices does not change which videos share a batch.
    padded = batches.shuffled([(7, 0, 1)], [subset], 8, 24)
    np.testing.assert_array_equal(first.indices, padded.indices[:, :, :8])


def test_member_has_the_order_that_it_has_alone() -> None:
    subsets = [np.arange(9), np.arange(20, 41), np.arange(50, 51)]
    keys = [(0, s, 3) for s in range(3)]
    together = batches.shuffled(keys, subsets, 4)
    assert together.indices.shape == (3, 6, 4)
    for s in range(3):
        alone = batches.shuffled(keys[s : s + 1], subsets[s : s + 1], 4)
        steps = alone.indices.shape[1]
        np.testing.assert_array_equal(together.indices[s, :steps], alone.indices[0])
        np.testing.assert_array_equal(together.where[s, :steps], alone.where[0])
        assert not together.where[s, steps:].any()


def test_in_order_keeps_the_order() -> None:
    found = batches.in_order([np.array([5, 3, 9])], 2)
    np.testing.assert_array_equal(found.indices, [[[5, 3], [9, 0]]])
    np.testing.assert_array_equal(found.where, [[[True, True], [True, False]]])
    last = found.steps(1, 2)
    np.testing.assert_array_equal(last.indices, [[[9, 0]]])


def test_plan_without_videos() -> None:
    assert batches.in_order([np.zeros(0, np.int32)], 4).indices.shape == (1, 0, 4)


@given(
    lengths=st.lists(st.integers(1, 900), min_size=1, max_size=60),
    num_buckets=st.integers(1, 6),
)
def test_every_video_is_in_the_shortest_bucket_that_holds_it(
    lengths: list[int], num_buckets: int
) -> None:
    array = np.array(lengths)
    found = batches.bucket_lengths(array, num_buckets)
    assert 1 <= len(found) <= num_buckets
    assert list(found) == sorted(set(found))
    assert max(lengths) <= found[-1] < max(lengths) + 8
    for length in lengths:
        bucket = batches.padded_length(length, found)
        assert length <= bucket
        assert not any(length <= other < bucket for other in found)
    subsets = [np.arange(len(lengths)), np.arange(len(lengths))[::2]]
    seen: list[list[int]] = [[], []]
    for bucket, positions in batches.group_by_bucket(subsets, array, found):
        for s in range(2):
            grouped = array[subsets[s][positions[s]]]
            assert all(batches.padded_length(length, found) == bucket for length in grouped)
            seen[s] += positions[s].tolist()
    assert [sorted(each) for each in seen] == [list(range(len(subset))) for subset in subsets]


def test_short_videos_are_padded_to_powers_of_two() -> None:
    padded = {n: batches.bucket_lengths(np.array([n]), 1)[0] for n in (*range(1, 10), 16, 17)}
    powers = {1: 1, 2: 2, 3: 4, 4: 4, 5: 8, 6: 8, 7: 8, 8: 8}
    assert padded == powers | {9: 16, 16: 16, 17: 24}


@pytest.mark.parametrize("placement", ["resident", "streamed"])
def test_videos_of_one_row_are_not_padded_and_train_like_padded_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, placement: Any
) -> None:
    videos = make_data(seed=3)
    rows = [tuple(stream[:1] for stream in videos.read(n)) for n in range(len(videos.ids))]
    data = TrainingData.of_arrays(videos.ids, rows, videos.mos)
    members = make_members(data, (13, 9))
    config = Train(learning_rate=1e-2, batch_size=4, epochs=2, placement=placement)
    model = A2INet(width=4, reduction=2, neck=4, hidden=2, tau=2)
    runner = parallel.make_runner("jit", 2)
    plan = batches.in_order([np.arange(4)] * 2, 4)
    label_SxN = np.zeros((2, len(data.ids)))

    def frames() -> set[int]:
        """Return T of the steps, as they are compiled."""
        found, _ = loader.make_loader(data, runner, config)
        chunks = list(found.chunks(plan, label_SxN))
        if placement == "streamed":
            inputs: Any = chunks[0].inputs
            assert inputs.mask.shape == (2, 1, 4, chunks[0].length)
        return {chunk.length for chunk in chunks}

    assert frames() == {1}
    unpadded = loop.train(model, data, members, config, tmp_path / "unpadded")
    monkeypatch.setattr(batches, "_rounded_up", lambda length: 8)
    assert frames() == {8}
    assert_close(loop.train(model, data, members, config, tmp_path / "padded"), unpadded, 1e-6)


@pytest.mark.parametrize("length", [5, 8])
def test_gathered_batches_hold_the_videos(length: int) -> None:
    data = make_data()
    features = flatten(data, length)
    indices = np.array([3, 22, 0, 3], np.int32)
    label, where = np.arange(4, dtype=np.float32), np.array([True, True, False, True])
    inputs = BatchIndices(indices, label, where)
    batch = jax.jit(gather, static_argnums=2)(features, inputs, length)
    assert [x.shape for x in batch.streams] == [(4, length, 6), (4, length, 4)]
    for b, n in enumerate(indices):
        num_frames = data.lengths[n] if where[b] else 0  # an empty slot has no frame
        np.testing.assert_array_equal(batch.mask[b], np.arange(length) < num_frames)
        for stream, expected in zip(batch.streams, data.read(n)):
            np.testing.assert_array_equal(stream[b, :num_frames], expected[:num_frames])
    np.testing.assert_array_equal(batch.label, label)
    np.testing.assert_array_equal(batch.where, where)


def test_collated_batches_hold_the_videos_and_read_each_once() -> None:
    data = make_data()
    read: list[int] = []

    def recorded(n: int) -> tuple[np.ndarray, ...]:
        read.append(n)
        return data.read(n)

    object.__setattr__(recording := make_data(), "read", recorded)
    indices = np.array([[[3, 1]], [[1, 7]]])
    needed = np.array([[[True, True]], [[True, False]]])
    streams, mask = collate(recording, indices, needed, 8)
    assert [x.shape for x in streams] == [(2, 1, 2, 8, 6), (2, 1, 2, 8, 4)]
    assert sorted(read) == [1, 3]
    for s, b in ((0, 0), (0, 1), (1, 0)):
        n = indices[s, 0, b]
        for stream, expected in zip(streams, data.read(n)):
            np.testing.assert_array_equal(stream[s, 0, b, : len(expected)], expected)
            np.testing.assert_array_equal(stream[s, 0, b, len(expected) :], 0)
    np.testing.assert_array_equal(mask.sum(axis=-1), np.where(needed, data.lengths[indices], 0))
    np.testing.assert_array_equal(streams[0][1, 0, 1], 0)
