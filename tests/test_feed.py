"""How features reach the programs."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from a2inet_jax.config import Train
from a2inet_jax.training import batch_plan, parallel
from a2inet_jax.training import loader as feeds
from a2inet_jax.training.loader import Resident, Streamed
from tests.training_inputs import make_features

FEATURES = make_features(longest=20)
RUNNER = parallel.runner("jit", 2)
LABELS = np.random.default_rng(0).random((2, len(FEATURES.ids)))


def test_resident_if_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    size = FEATURES.nbytes
    assert size == 2 * 10 * FEATURES.lengths.sum()
    for memory, kind, line in [
        (2 * size, Resident, "resident on the device (0.00 GiB, within the 0.0 GiB allowed)"),
        (
            2 * size - 1,
            Streamed,
            "streamed to the device (0.00 GiB, more than the 0.0 GiB allowed)",
        ),
    ]:
        monkeypatch.setattr(feeds, "device_memory", lambda memory=memory: memory)
        found, told = feeds.choose(FEATURES, RUNNER, Train(memory_fraction=0.5))
        assert type(found) is kind
        assert told == f"features: {line}"


def test_the_configs_word_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "device_memory", lambda: 1)
    found, told = feeds.choose(FEATURES, RUNNER, Train(placement="resident"))
    assert type(found) is Resident
    assert "as the config says" in told
    monkeypatch.undo()
    assert type(feeds.choose(FEATURES, RUNNER, Train(placement="streamed"))[0]) is Streamed


def test_a_machines_memory_is_known() -> None:
    assert 2**28 < feeds.device_memory() < 2**50


def batches(feed: Any, arranged: batch_plan.BatchPlan) -> list[Any]:
    """Each step's batch, whatever call it is in."""
    from a2inet_jax.training.batches import gather

    found = []
    for call in feed.calls(arranged, LABELS):
        inputs = RUNNER.get(call.inputs)
        for k in range(call.steps.start, call.steps.stop):
            for s in range(2):
                step = type(inputs)(*(each_of(x, s, k) for x in inputs))
                found.append(
                    step if feed.frames is None else gather(feed.frames, step, call.length)
                )
    return found


def each_of(x: Any, s: int, k: int) -> Any:
    return tuple(y[s, k] for y in x) if isinstance(x, tuple) else x[s, k]


@pytest.mark.parametrize("steps_per_call", [1, 2, 3, 100])
@pytest.mark.parametrize("kind", [Resident, Streamed])
def test_every_step_has_its_videos(kind: Any, steps_per_call: int) -> None:
    parts = [np.arange(20), np.arange(5, 22)]
    arranged = batch_plan.shuffled([(0, 0), (0, 1)], parts, 4)
    settings = Train(steps_per_call=steps_per_call, num_buckets=3)
    found = iter(batches(kind(FEATURES, RUNNER, settings), arranged))
    for k in range(5):
        for s in range(2):
            batch = next(found)
            where = arranged.where[s, k]
            np.testing.assert_array_equal(batch.where, where)
            rows = arranged.rows[s, k][where]
            np.testing.assert_allclose(np.asarray(batch.label)[where], LABELS[s, rows], rtol=1e-6)
            for b, n in zip(np.flatnonzero(where), rows):
                mask = np.asarray(batch.mask[b])
                assert mask.sum() == FEATURES.lengths[n]
                for stream, expected in zip(batch.streams, FEATURES.read(n)):
                    np.testing.assert_array_equal(np.asarray(stream[b])[mask], expected)
    assert next(found, None) is None


def test_calls_are_of_one_length_and_few() -> None:
    arranged = batch_plan.arrange([np.arange(20), np.arange(3)], 2)
    resident = Resident(FEATURES, RUNNER, Train(steps_per_call=4))
    calls = list(resident.calls(arranged, LABELS))
    assert [call.steps for call in calls] == [slice(0, 4), slice(0, 4), slice(0, 2)]
    assert {call.inputs.where.shape for call in calls} == {(2, 4, 2)}
    assert not np.asarray(calls[-1].inputs.where)[:, 2:].any()
    assert list(resident.calls(arranged.steps(0, 0), LABELS)) == []


@pytest.mark.parametrize("kind", [Resident, Streamed])
@pytest.mark.parametrize("done", range(11))
def test_what_is_resumed_is_cut_like_what_was_not_stopped(kind: Any, done: int) -> None:
    arranged = batch_plan.shuffled([(0, 0), (0, 1)], [np.arange(20), np.arange(3)], 2)
    feed = kind(FEATURES, RUNNER, Train(steps_per_call=4))
    whole = list(feed.calls(arranged, LABELS))
    rest = list(feed.calls(arranged, LABELS, done))
    assert len(rest) == 3 - (done // 4 if done < 10 else 3)
    for before, found in zip(whole[len(whole) - len(rest) :], rest):
        assert found.length == before.length
        first = found.steps.start
        assert found.steps.stop == before.steps.stop
        where = np.asarray(found.inputs.where)
        assert not where[:, :first].any()
        np.testing.assert_array_equal(where[:, first:], before.inputs.where[:, first:])
    assert sum(call.steps.stop - call.steps.start for call in rest) == 10 - done


def test_a_video_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    def broken(n: int) -> Any:
        raise ValueError(f"{tmp_path}/{n} is damaged")

    features = dataclasses.replace(FEATURES, read=broken)
    streamed = Streamed(features, RUNNER, Train())
    arranged = batch_plan.arrange([np.arange(4), np.arange(4)], 2)
    with pytest.raises(ValueError, match="is damaged"):
        list(streamed.calls(arranged, LABELS))
