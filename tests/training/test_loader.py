"""Loaders of resident and of streamed features."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from a2inet_jax.config import Train
from a2inet_jax.training import batches, parallel
from a2inet_jax.training import loader as loaders
from a2inet_jax.training.batches import gather
from a2inet_jax.training.loader import Loader
from tests.training_inputs import make_data

DATA = make_data(longest=20)
RUNNER = parallel.make_runner("jit", 2)
LABELS = np.random.default_rng(0).random((2, len(DATA.ids)))


def test_auto_is_resident_if_the_features_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    size = DATA.nbytes
    assert size == 2 * 10 * DATA.lengths.sum()
    for memory, resident, line in [
        (2 * size, True, "resident on the device (0.00 GiB, within the 0.0 GiB allowed)"),
        (2 * size - 1, False, "streamed to the device (0.00 GiB, more than the 0.0 GiB allowed)"),
    ]:
        monkeypatch.setattr(loaders, "device_memory", lambda memory=memory: memory)
        loader, reported = loaders.make_loader(DATA, RUNNER, Train(memory_fraction=0.5))
        assert (loader.features is not None) == resident
        assert reported == f"features: {line}"


def test_placement_of_the_config_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaders, "device_memory", lambda: 1)
    loader, reported = loaders.make_loader(DATA, RUNNER, Train(placement="resident"))
    assert loader.features is not None
    assert "as the config says" in reported
    monkeypatch.undo()
    assert loaders.make_loader(DATA, RUNNER, Train(placement="streamed"))[0].features is None


def test_device_memory_is_plausible() -> None:
    assert 2**28 < loaders.device_memory() < 2**50


def batches_of(loader: Any, plan: batches.BatchPlan) -> list[Any]:
    """Return the batch of each step and member, whatever chunk it is in."""
    found = []
    for chunk in loader.chunks(plan, LABELS):
        inputs = RUNNER.get(chunk.inputs)
        for k in range(chunk.steps.start, chunk.steps.stop):
            for s in range(2):
                step = type(inputs)(*(at(x, s, k) for x in inputs))
                if loader.features is not None:
                    step = gather(loader.features, step, chunk.length)
                found.append(step)
    return found


def at(x: Any, s: int, k: int) -> Any:
    return tuple(y[s, k] for y in x) if isinstance(x, tuple) else x[s, k]


@pytest.mark.parametrize("steps_per_call", [1, 2, 3, 100])
@pytest.mark.parametrize("resident", [True, False])
def test_every_step_has_its_videos(resident: bool, steps_per_call: int) -> None:
    subsets = [np.arange(20), np.arange(5, 22)]
    plan = batches.shuffled([(0, 0), (0, 1)], subsets, 4)
    config = Train(steps_per_call=steps_per_call, num_buckets=3)
    found = iter(batches_of(Loader(DATA, RUNNER, config, resident), plan))
    for k in range(5):
        for s in range(2):
            batch = next(found)
            where = plan.where[s, k]
            np.testing.assert_array_equal(batch.where, where)
            indices = plan.indices[s, k][where]
            label = np.asarray(batch.label)[where]
            np.testing.assert_allclose(label, LABELS[s, indices], rtol=1e-6)
            for b, n in zip(np.flatnonzero(where), indices):
                mask = np.asarray(batch.mask[b])
                assert mask.sum() == DATA.lengths[n]
                for stream, expected in zip(batch.streams, DATA.read(n)):
                    np.testing.assert_array_equal(np.asarray(stream[b])[mask], expected)
    assert next(found, None) is None


def test_chunks_are_few_and_equally_long() -> None:
    plan = batches.in_order([np.arange(20), np.arange(3)], 2)
    loader = Loader(DATA, RUNNER, Train(steps_per_call=4), resident=True)
    chunks = list(loader.chunks(plan, LABELS))
    assert [chunk.steps for chunk in chunks] == [slice(0, 4), slice(0, 4), slice(0, 2)]
    assert {chunk.inputs.where.shape for chunk in chunks} == {(2, 4, 2)}
    assert not np.asarray(chunks[-1].inputs.where)[:, 2:].any()
    assert list(loader.chunks(plan.steps(0, 0), LABELS)) == []


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("done", range(11))
def test_resumed_epoch_is_chunked_like_an_uninterrupted_one(resident: bool, done: int) -> None:
    plan = batches.shuffled([(0, 0), (0, 1)], [np.arange(20), np.arange(3)], 2)
    loader = Loader(DATA, RUNNER, Train(steps_per_call=4), resident)
    whole = list(loader.chunks(plan, LABELS))
    rest = list(loader.chunks(plan, LABELS, done))
    assert len(rest) == 3 - (done // 4 if done < 10 else 3)
    for expected, found in zip(whole[len(whole) - len(rest) :], rest):
        assert found.length == expected.length
        first = found.steps.start
        assert found.steps.stop == expected.steps.stop
        where = np.asarray(found.inputs.where)
        assert not where[:, :first].any()
        np.testing.assert_array_equal(where[:, first:], expected.inputs.where[:, first:])
    assert sum(chunk.steps.stop - chunk.steps.start for chunk in rest) == 10 - done


def test_video_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    def broken(n: int) -> Any:
        raise ValueError(f"{tmp_path}/{n} is damaged")

    loader = Loader(dataclasses.replace(DATA, read=broken), RUNNER, Train(), resident=False)
    plan = batches.in_order([np.arange(4), np.arange(4)], 2)
    with pytest.raises(ValueError, match="is damaged"):
        list(loader.chunks(plan, LABELS))
