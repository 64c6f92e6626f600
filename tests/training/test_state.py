"""Optimizer, schedules and the training step."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from a2inet_jax.config import Train
from a2inet_jax.errors import ConfigError
from a2inet_jax.training import state, step
from a2inet_jax.training.batches import Batch, collate
from a2inet_jax.training.state import TrainState
from tests.training_inputs import MeanPooling, make_data

DATA = make_data()


def create(config: Train, seed: int = 0, split_index: int = 0) -> TrainState:
    arrays = (jnp.uint32(seed), jnp.int32(split_index), jnp.int32(10))
    return state.create(MeanPooling(), config, DATA.widths, *arrays)


def batch(where: bool = True) -> Batch:
    indices = np.arange(8)
    streams, mask = collate(DATA, indices, np.ones(8, bool), 8)
    label = DATA.mos[indices].astype(np.float32)
    return Batch(streams, mask, label, np.full(8, where))


train_step = jax.jit(step.train_step, static_argnums=(0, 1))


def rates(config: Train, steps: int = 100) -> np.ndarray:
    """Return the learning rate in the middle of each step."""
    rate = state.schedule(config)
    return np.array([rate((s + 0.5) / steps * config.epochs) for s in range(steps)])


def leaves(tree: Any) -> list[Any]:
    return jax.tree.leaves(tree)


def test_constant_schedule() -> None:
    np.testing.assert_array_equal(rates(Train(learning_rate=3e-4)), 3e-4)


def test_cosine_schedule_falls_to_zero() -> None:
    found = rates(Train(learning_rate=1.0, schedule="cosine"))
    expected = 0.5 * (1 + np.cos(np.pi * (np.arange(100) + 0.5) / 100))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_step_schedule_falls_every_few_epochs() -> None:
    config = Train(learning_rate=1.0, schedule="step", step_epochs=2, step_factor=0.8, epochs=5)
    expected = 0.8 ** np.repeat([0, 0, 1, 1, 2], 20)
    np.testing.assert_allclose(rates(config), expected, rtol=1e-6)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step"])
def test_warmup_rises_linearly_and_the_schedule_starts_after_it(schedule: Any) -> None:
    config = Train(
        learning_rate=1.0, schedule=schedule, warmup_fraction=0.2, epochs=10, step_epochs=4
    )
    found = rates(config)
    np.testing.assert_allclose(found[:20], (np.arange(20) + 0.5) / 20, rtol=1e-6)
    after_warmup = dataclasses.replace(config, warmup_fraction=0.0, epochs=8)
    np.testing.assert_allclose(found[20:], rates(after_warmup, 80), atol=1e-6)


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("clip", [0.0, 0.01])
def test_step_agrees_with_optax(decay: float, clip: float) -> None:
    model = MeanPooling()
    config = Train(learning_rate=1e-2, weight_decay=decay, clip_norm=clip)
    found = create(config)
    reference = optax.adamw(1e-2, weight_decay=decay) if decay else optax.adam(1e-2)
    if clip:
        reference = optax.chain(optax.clip_by_global_norm(clip), reference)
    params, opt_state = found.params, reference.init(found.params)
    keys = jax.random.split(jax.random.key(0), 8)
    gradients = jax.jit(lambda p, b: step.gradients(model, p, b, keys, 1.0))
    for _ in range(3):
        gradient, _ = gradients(params, batch())
        assert clip < optax.tree.norm(gradient)
        updates, opt_state = reference.update(gradient, opt_state, params)
        params = optax.apply_updates(params, updates)
        found, _ = train_step(model, config, found, batch())
    assert int(found.step) == 3
    for a, b in zip(leaves(found.params), leaves(params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_moving_average_follows_the_parameters() -> None:
    config = Train(learning_rate=1e-2, ema_decay=0.9)
    first = create(config)
    assert first.evaluated is first.average
    second, _ = train_step(MeanPooling(), config, first, batch())
    third, _ = train_step(MeanPooling(), config, second, batch())
    for start, one, two, found in zip(
        *(leaves(t) for t in (first.params, second.params, third.params, third.average)),
        strict=True,
    ):
        np.testing.assert_allclose(
            found, 0.81 * start + 0.09 * one + 0.1 * two, rtol=1e-5, atol=1e-7
        )
    assert create(Train()).average is None


@pytest.mark.parametrize("ema_decay", [0.0, 0.5])
def test_empty_batch_changes_nothing(ema_decay: float) -> None:
    config = Train(learning_rate=1e-2, weight_decay=0.1, ema_decay=ema_decay)
    before, _ = train_step(MeanPooling(), config, create(config), batch())
    after, losses = train_step(MeanPooling(), config, before, batch(where=False))
    jax.tree.map(np.testing.assert_array_equal, after, before)
    assert float(losses.total) == 0


def test_initial_parameters_depend_on_seed_and_split() -> None:
    first, again = create(Train()), create(Train(learning_rate=1.0))
    jax.tree.map(np.testing.assert_array_equal, first.params, again.params)
    for other in (create(Train(), seed=1), create(Train(), split_index=1)):
        kernels = [t.params["Dense_0"]["kernel"] for t in (first, other)]
        assert np.abs(kernels[0] - kernels[1]).min() > 0
        assert (first.key != other.key).any()


def test_dropout_changes_with_the_step_and_not_with_the_device() -> None:
    first = create(Train())

    def keys(state: TrainState, slots: int, axis: str | None) -> jax.Array:
        return jax.random.key_data(step._dropout_keys(state, slots, axis))

    whole = jax.jit(keys, static_argnums=(1, 2))
    data = [np.asarray(whole(first._replace(step=jnp.int32(s)), 8, None)) for s in (0, 0, 1)]
    np.testing.assert_array_equal(data[0], data[1])
    assert (data[0] != data[2]).any(axis=1).all()
    assert len(np.unique(data[0], axis=0)) == 8
    by_device = jax.jit(jax.vmap(lambda _: keys(first, 2, "d"), axis_name="d"))
    np.testing.assert_array_equal(np.concatenate(by_device(jnp.arange(4))), data[0])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schedule", "linear"),
        ("epoch_rule", "best"),
        ("parallel", "tpu"),
        ("placement", "disk"),
        ("epochs", 0),
        ("num_buckets", 0),
        ("steps_per_call", 0),
        ("warmup_fraction", 1.0),
        ("ema_decay", -0.1),
        ("memory_fraction", 1.5),
        ("clip_norm", -1.0),
        ("weight_decay", -1.0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("step_factor", 0.0),
    ],
)
def test_config_is_checked(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{field} is {value!r}"):
        Train(**{field: value})
