"""Batches gathered on the device, and put together by the host."""

import jax
import numpy as np
import pytest

from a2inet_jax.training.batches import Rows, collate, frames_of, gather
from tests.training_inputs import make_features


@pytest.mark.parametrize("length", [5, 8])
def test_gathered_batches_are_the_videos(length: int) -> None:
    features = make_features()
    frames = frames_of(features, length)
    rows = np.array([3, 22, 0, 3], np.int32)
    label, where = np.arange(4, dtype=np.float32), np.array([True, True, False, True])
    batch = jax.jit(gather, static_argnums=2)(frames, Rows(rows, label, where), length)
    assert [x.shape for x in batch.streams] == [(4, length, 6), (4, length, 4)]
    for b, n in enumerate(rows):
        frames_n = features.lengths[n] if where[b] else 0  # what fills the batch has no frame
        np.testing.assert_array_equal(batch.mask[b], np.arange(length) < frames_n)
        for stream, expected in zip(batch.streams, features.read(n)):
            np.testing.assert_array_equal(stream[b, :frames_n], expected[:frames_n])
    np.testing.assert_array_equal(batch.label, label)
    np.testing.assert_array_equal(batch.where, where)


def test_collated_batches_are_the_videos_and_read_once() -> None:
    features = make_features()
    read: list[int] = []

    def counting(n: int) -> tuple[np.ndarray, ...]:
        read.append(n)
        return features.read(n)

    object.__setattr__(counted := make_features(), "read", counting)
    rows = np.array([[[3, 1]], [[1, 7]]])
    needed = np.array([[[True, True]], [[True, False]]])
    streams, mask = collate(counted, rows, needed, 8)
    assert [x.shape for x in streams] == [(2, 1, 2, 8, 6), (2, 1, 2, 8, 4)]
    assert sorted(read) == [1, 3]
    for s, b in ((0, 0), (0, 1), (1, 0)):
        n = rows[s, 0, b]
        for stream, expected in zip(streams, features.read(n)):
            np.testing.assert_array_equal(stream[s, 0, b, : len(expected)], expected)
            np.testing.assert_array_equal(stream[s, 0, b, len(expected) :], 0)
    np.testing.assert_array_equal(mask.sum(axis=-1), np.where(needed, features.lengths[rows], 0))
    np.testing.assert_array_equal(streams[0][1, 0, 1], 0)
