"""Eight devices give the numbers of one device, under `pmap` and over a mesh."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from flax import linen as nn

from a2inet_jax.config import Parallel, Train
from a2inet_jax.model.a2inet import A2INet
from a2inet_jax.training import batches, loop, losses, parallel, state, step
from a2inet_jax.training.batches import Batch, collate
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.loop import Callbacks
from a2inet_jax.training.members import TrainedMember
from tests.training_inputs import MeanPooling, make_data, make_members

DEVICES = 8
MODELS = {
    "a2inet": A2INet(width=8, neck=8, hidden=4, tau=2),
    "concat_mlp": A2INet(width=8, neck=8, hidden=4, tau=2, fusion="concat_mlp", catm=False),
    "mean_pooling": MeanPooling(),
}


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return make_data(videos=61)


def test_there_are_eight_devices() -> None:
    assert jax.local_device_count() == DEVICES


def first_batch(data: TrainingData, num_videos: int, slots: int | None = None) -> Batch:
    """Return the first videos as a batch, padded to `slots`."""
    plan = batches.in_order([np.arange(num_videos)], num_videos, slots)
    indices, where = plan.indices[0, 0], plan.where[0, 0]
    streams, mask = collate(data, indices, where, 8)
    label = (data.mos - data.mos.min()) / np.ptp(data.mos)
    return Batch(streams, mask, label[indices].astype(np.float32), where)


def initial_params(model: nn.Module, data: TrainingData) -> Any:
    start = (jax.numpy.uint32(0), jax.numpy.int32(0), jax.numpy.int32(1))
    return state.create(model, Train(), data.widths, *start).params


def gradients(model: nn.Module, axis: str | None = None) -> Any:
    """Return `step.gradients` without dropout, as a function of parameters and batch."""
    return lambda p, b: step.gradients(model, p, b, None, 1.0, axis)


def over_devices(function: Any, params: Any, batch: Batch) -> Any:
    """Run a function on each device's share of a batch; all results must be equal, one is returned."""
    shares = jax.tree.map(lambda x: np.reshape(x, (DEVICES, -1, *x.shape[1:])), batch)
    results = jax.device_get(jax.pmap(function, "data", in_axes=(None, 0))(params, shares))
    for x in jax.tree.leaves(results):
        np.testing.assert_array_equal(x, np.broadcast_to(x[:1], x.shape))
    return jax.tree.map(lambda x: x[0], results)


def assert_close(found: Any, expected: Any, tolerance: float) -> None:
    """Assert that leaves differ by at most `tolerance` times the tree's largest value."""
    largest = max(float(np.abs(x).max()) for x in jax.tree.leaves(expected))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * largest),
        found,
        expected,
    )


# With 13 videos one device has a video and an empty slot; with 5, some devices have only empty slots.
@pytest.mark.parametrize(
    ("name", "num_videos"),
    [("mean_pooling", 16), ("mean_pooling", 13), ("mean_pooling", 5), ("a2inet", 13)],
)
def test_loss_and_gradients_are_those_of_the_global_batch(
    data: TrainingData, name: str, num_videos: int
) -> None:
    model = MODELS[name]
    params = initial_params(model, data)
    expected = jax.jit(gradients(model))(params, first_batch(data, num_videos))
    found = over_devices(gradients(model, "data"), params, first_batch(data, num_videos, 16))
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-5)
    assert_close(found[0], expected[0], 1e-5)


def test_pairs_inside_each_device_alone_would_be_wrong(data: TrainingData) -> None:
    model = MODELS["mean_pooling"]
    params, batch = initial_params(model, data), first_batch(data, 16)

    def local(p: Any, b: Batch) -> Any:
        return jax.lax.pmean(gradients(model)(p, b), "data")

    expected = jax.jit(gradients(model))(params, batch)
    found = over_devices(local, params, batch)
    # The absolute error is a mean over videos, which shares of equal size do not change ...
    np.testing.assert_allclose(found[1].mae, expected[1].mae, rtol=1e-5)
    # ... but 2 × 2 pairs on each of 8 devices are not the 16 × 16 pairs of the batch.
    assert abs(float(found[1].rank / expected[1].rank) - 1) > 0.05
    with pytest.raises(AssertionError):
        assert_close(found[0], expected[0], 0.05)


def test_summed_gradients_would_be_eight_times_too_large(data: TrainingData) -> None:
    model = MODELS["mean_pooling"]
    params, batch = initial_params(model, data), first_batch(data, 16)

    def summed(p: Any, b: Batch) -> Any:
        def loss(q: Any) -> jax.Array:
            outputs: Any = model.apply({"params": q}, b.streams, b.mask)
            rows = (outputs.score, b.label, b.where)
            return losses.total(*jax.lax.all_gather(rows, "data", tiled=True)).total

        return jax.lax.psum(jax.grad(loss)(p), "data")

    expected, _ = jax.jit(gradients(model))(params, batch)
    found = over_devices(summed, params, batch)
    assert_close(jax.tree.map(lambda g: g / DEVICES, found), expected, 1e-5)


def train(
    model: nn.Module, data: TrainingData, config: Train, folder: Path, **changes: Any
) -> list[TrainedMember]:
    """Train four splits with 5, 4, 3 and 4 steps per epoch."""
    members = make_members(data, (49, 45, 33, 40), 8)
    config = dataclasses.replace(config, **changes)
    return loop.train(model, data, members, config, folder, Callbacks())


def assert_same_training(found: list[TrainedMember], expected: list[TrainedMember]) -> None:
    for a, b in zip(found, expected, strict=True):
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=1e-5), a.params, b.params
        )
        for one, other in zip(a.history, b.history, strict=True):
            assert one == pytest.approx(other, abs=1e-5)
        assert a.epoch == b.epoch


# At this rate fifty steps move parameters by up to 0.05. Rounding may grow to 1e-5 when Adam divides a
# gradient that is almost zero by its own size.
FIFTY_STEPS = Train(learning_rate=1e-3, batch_size=12, epochs=10, epoch_rule="last")
_one_device: dict[str, list[TrainedMember]] = {}


@pytest.mark.parametrize("parallel", ["pmap", "mesh"])
@pytest.mark.parametrize(
    ("name", "placement"),
    [
        ("mean_pooling", "resident"),
        ("mean_pooling", "streamed"),
        ("a2inet", "resident"),
        ("a2inet", "streamed"),
        ("concat_mlp", "resident"),  # its dropout does not depend on the placement
    ],
)
def test_fifty_steps_end_where_one_device_ends(
    data: TrainingData, tmp_path: Path, name: str, parallel: str, placement: str
) -> None:
    model = MODELS[name]
    if name not in _one_device:
        _one_device[name] = train(model, data, FIFTY_STEPS, tmp_path / "one")
    changes = {"parallel": parallel, "placement": placement}
    many = train(model, data, FIFTY_STEPS, tmp_path / "many", **changes)
    assert_same_training(many, _one_device[name])
    assert len(many[0].history) * 5 == 50


@pytest.mark.parametrize("how", ["pmap", "mesh"])
def test_training_resumes(data: TrainingData, tmp_path: Path, how: Parallel) -> None:
    config = Train(learning_rate=1e-2, batch_size=12, epochs=4, checkpoint_epochs=2, parallel=how)
    model, members = MODELS["mean_pooling"], make_members(data, (49, 45, 33, 40), 8)

    def kill(text: str, done: int, total: int) -> None:
        if done == 15:
            raise KeyboardInterrupt

    def run(folder: Path, callbacks: Callbacks) -> list[TrainedMember]:
        return loop.train(model, data, members, config, folder, callbacks)

    whole = run(tmp_path / "whole", Callbacks())
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "resumed", Callbacks(kill))
    reported: list[int] = []
    callbacks = Callbacks(lambda text, done, total: reported.append(done))
    resumed = run(tmp_path / "resumed", callbacks)
    assert reported[0] == 10
    for a, b in zip(resumed, whole, strict=True):
        jax.tree.map(np.testing.assert_array_equal, a.params, b.params)
        assert a.history == b.history


def test_every_slot_is_on_one_device() -> None:
    pmap = parallel.make_runner("pmap", 3)
    inputs = np.arange(3 * 2 * 24).reshape(3, 2, 24)
    by_device: Any = pmap.put_inputs((inputs,))  # type: ignore[arg-type]
    assert by_device[0].shape == (DEVICES, 3, 2, 3)
    np.testing.assert_array_equal(pmap.scores(by_device[0]), inputs)
    assert pmap.padded_batch_size(13) == 16


@pytest.mark.parametrize(("members", "shape"), [(10, (2, 4)), (8, (8, 1)), (3, (1, 8))])
def test_mesh_shards_every_number_of_members(members: int, shape: tuple[int, int]) -> None:
    mesh = parallel.make_runner("mesh", members)
    assert isinstance(mesh, parallel.JitRunner)
    assert tuple(mesh.mesh.shape.values()) == shape
    assert mesh.padded_batch_size(13) == -(-13 // shape[1]) * shape[1]
    assert mesh.local_slots(members, mesh.padded_batch_size(13)).all()
    placed: Any = mesh.put_inputs((np.zeros((members, 2, 16)),))  # type: ignore[arg-type]
    assert len({str(shard.index) for shard in placed[0].addressable_shards}) == DEVICES
