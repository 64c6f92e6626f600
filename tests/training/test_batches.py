"""Batches gathered on the device, and batches collated by the host."""

import jax
import numpy as np
import pytest

from a2inet_jax.training.batches import BatchIndices, collate, flatten, gather
from tests.training_inputs import make_data


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
