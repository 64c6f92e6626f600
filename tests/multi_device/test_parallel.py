"""`pmap` over eight devices gives what one device gives."""

import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from flax import linen as nn

from a2inet_jax.model.a2inet import A2INet
from a2inet_jax.training import batches, losses, parallel, state, step
from a2inet_jax.training.batches import Batch, Data, Features, Order
from a2inet_jax.training.loop import train_split
from a2inet_jax.training.settings import Settings
from a2inet_jax.training.state import TrainState
from tests.training_inputs import MeanPooling, make_features, make_split

DEVICES = 8
MODELS = {
    "a2inet": A2INet(width=8, neck=8, hidden=4, tau=2),
    "mean_pooling": MeanPooling(),
}


@pytest.fixture(scope="module")
def features() -> Features:
    return make_features(videos=61)


def test_there_are_eight_devices() -> None:
    assert jax.local_device_count() == DEVICES


def data_of(features: Features) -> Data:
    mos = features.mos
    label = ((mos - mos.min()) / np.ptp(mos)).astype(np.float32)
    return Data(features.streams, features.mask, label)


def over_devices(function: Any, params: Any, batch: Batch) -> Any:
    """First device's result of a function of its part of the batch; all devices' must be equal."""
    parts = jax.tree.map(lambda x: np.reshape(x, (DEVICES, -1, *x.shape[1:])), batch)
    results = jax.device_get(jax.pmap(function, "data", in_axes=(None, 0))(params, parts))
    for x in jax.tree.leaves(results):
        np.testing.assert_array_equal(x, np.broadcast_to(x[:1], x.shape))
    return jax.tree.map(lambda x: x[0], results)


def assert_close(found: Any, expected: Any, tolerance: float) -> None:
    """Every leaf is as near as `tolerance` times the tree's largest value."""
    largest = max(float(np.abs(x).max()) for x in jax.tree.leaves(expected))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * largest),
        found,
        expected,
    )


# 13 leaves a device with a row and a filling one; 5, devices with nothing but filling.
@pytest.mark.parametrize(
    ("name", "rows"),
    [("mean_pooling", 16), ("mean_pooling", 13), ("mean_pooling", 5), ("a2inet", 13)],
)
def test_loss_and_gradients_are_the_global_batchs(features: Features, name: str, rows: int) -> None:
    model = MODELS[name]
    params = state.create(model, Settings(), features, 0, 1).params
    data = data_of(features)
    alone = batches.gather(data, np.arange(rows), np.ones(rows, bool))
    shared = batches.gather(data, *(x[0] for x in batches.batches(np.arange(rows), 16)))

    expected = jax.jit(lambda p, b: step.gradients(model, p, b, 1.0))(params, alone)
    found = over_devices(lambda p, b: step.gradients(model, p, b, 1.0, "data"), params, shared)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-5)
    assert_close(found[0], expected[0], 1e-5)


def test_pairs_inside_each_device_alone_would_be_wrong(features: Features) -> None:
    model = MODELS["mean_pooling"]
    params = state.create(model, Settings(), features, 0, 1).params
    batch = batches.gather(data_of(features), np.arange(16), np.ones(16, bool))

    def local(p: Any, b: Batch) -> Any:
        return jax.lax.pmean(step.gradients(model, p, b, 1.0), "data")

    expected = jax.jit(lambda p, b: step.gradients(model, p, b, 1.0))(params, batch)
    found = over_devices(local, params, batch)
    # The absolute error is a mean over rows, which parts of equal size do not change ...
    np.testing.assert_allclose(found[1].mae, expected[1].mae, rtol=1e-5)
    # ... but 2 × 2 pairs on each of 8 devices are not the 16 × 16 pairs of the batch.
    assert abs(float(found[1].rank / expected[1].rank) - 1) > 0.05
    with pytest.raises(AssertionError):
        assert_close(found[0], expected[0], 0.05)


def test_summed_gradients_would_be_eight_times_too_large(features: Features) -> None:
    model = MODELS["mean_pooling"]
    params = state.create(model, Settings(), features, 0, 1).params
    batch = batches.gather(data_of(features), np.arange(16), np.ones(16, bool))

    def summed(p: Any, b: Batch) -> Any:
        def loss(q: Any) -> jax.Array:
            outputs: Any = model.apply({"params": q}, b.streams, b.mask)
            rows = (outputs.score, b.label, b.where)
            return losses.total(*jax.lax.all_gather(rows, "data", tiled=True)).total

        return jax.lax.psum(jax.grad(loss)(p), "data")

    expected, _ = jax.jit(lambda p, b: step.gradients(model, p, b, 1.0))(params, batch)
    found = over_devices(summed, params, batch)
    assert_close(jax.tree.map(lambda g: g / DEVICES, found), expected, 1e-5)


def train(
    model: nn.Module, features: Features, settings: Settings, epochs: int
) -> tuple[TrainState, np.ndarray, np.ndarray]:
    """State, losses of each step [steps, 3] and scores of all videos after some epochs."""
    runner = parallel.runner(settings.parallel)
    data = runner.put(data_of(features))
    rows = np.arange(len(features.ids))
    current = runner.put(state.create(model, settings, features, 0, 1000))
    history = []
    for epoch in range(epochs):
        order = batches.epoch_batches(
            (0, epoch), rows, settings.batch_size, runner.width(settings.batch_size)
        )
        current, found = runner.train(model, settings, current, data, order)
        history += runner.get(found)
    order = batches.batches(rows, settings.batch_size, runner.width(settings.batch_size))
    score, frames = runner.score(model, current.params, data, order)
    assert frames.shape == (len(rows), features.mask.shape[1])
    return runner.get(current), np.array(history), score


@pytest.mark.parametrize(
    ("name", "batch_size"),
    [("mean_pooling", 16), ("mean_pooling", 12), ("a2inet", 12)],  # 12 is no multiple of 8
)
def test_fifty_steps_end_where_one_device_ends(
    features: Features, name: str, batch_size: int
) -> None:
    # At this rate fifty steps move parameters by up to 0.05; 1e-5 of that is what rounding may become when
    # Adam divides a gradient that is all but zero by its own size.
    settings = Settings(learning_rate=1e-3, batch_size=batch_size)
    epochs = -(-50 * batch_size // len(features.ids))
    one, one_losses, one_score = train(MODELS[name], features, settings, epochs)
    many, many_losses, many_score = train(
        MODELS[name], features, Settings(**{**vars(settings), "parallel": "pmap"}), epochs
    )
    assert len(one_losses) >= 50
    np.testing.assert_allclose(many_losses, one_losses, atol=1e-5)
    np.testing.assert_allclose(many_score, one_score, atol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-5), many.params, one.params
    )
    assert int(many.step) == len(one_losses)


def test_a_split_trains_scores_and_resumes_under_pmap(features: Features, tmp_path: Path) -> None:
    split = make_split(features, train=37, validation=11)
    settings = functools.partial(
        Settings, learning_rate=1e-2, batch_size=12, epochs=4, checkpoint_every=2
    )
    model = MODELS["mean_pooling"]
    one = train_split(model, features, split, settings(), tmp_path / "jit", 0, lambda _: None)
    many = train_split(
        model, features, split, settings(parallel="pmap"), tmp_path / "pmap", 0, lambda _: None
    )
    assert many.epoch == one.epoch
    assert_close(many.params, one.params, 1e-5)
    for found, expected in zip(many.history, one.history):
        assert found == pytest.approx(expected, abs=1e-5)

    def kill(epoch: int) -> None:
        if epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_split(model, features, split, settings(parallel="pmap"), tmp_path / "again", 0, kill)
    again = train_split(
        model, features, split, settings(parallel="pmap"), tmp_path / "again", 0, lambda _: None
    )
    jax.tree.map(np.testing.assert_array_equal, again.params, many.params)
    assert again.history == many.history


def test_every_video_is_dealt_to_one_device() -> None:
    rows = np.arange(24)
    dealt = parallel.LocalDevices()._deal((rows, rows >= 0))
    assert dealt[0].shape == (DEVICES, 3)
    np.testing.assert_array_equal(dealt[0].reshape(-1), rows)
    assert parallel.LocalDevices().width(13) == 16
    assert isinstance(batches.batches(rows, 12, 16), Order)
