"""Optimiser, schedules, and a step of training."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from a2inet_jax.config import Train
from a2inet_jax.model.a2inet import A2INet
from a2inet_jax.training import state, step
from a2inet_jax.training.batches import Batch, collate
from a2inet_jax.training.state import TrainState
from tests.training_inputs import MeanPooling, make_features

FEATURES = make_features()


def create(settings: Train, seed: int = 0, split: int = 0, model: Any = None) -> TrainState:
    arrays = (jnp.uint32(seed), jnp.int32(split), jnp.int32(10))
    return state.create(model or MeanPooling(), settings, FEATURES.widths, *arrays)


def batch(rows: range = range(8), where: bool = True) -> Batch:
    numbers = np.array(rows)
    streams, mask = collate(FEATURES, numbers, np.ones(len(rows), bool), 8)
    label = FEATURES.mos[numbers].astype(np.float32)
    return Batch(streams, mask, label, np.full(len(rows), where))


train_step = jax.jit(step.train_step, static_argnums=(0, 1))


def rates(settings: Train, steps: int = 100) -> np.ndarray:
    """The rate at the middle of each step."""
    rate = state.schedule(settings)
    return np.array([rate((s + 0.5) / steps * settings.epochs) for s in range(steps)])


def leaves(tree: Any) -> list[Any]:
    return jax.tree.leaves(tree)


def test_constant_rate() -> None:
    np.testing.assert_array_equal(rates(Train(learning_rate=3e-4)), 3e-4)


def test_cosine_falls_from_the_height_to_zero() -> None:
    found = rates(Train(learning_rate=1.0, schedule="cosine"))
    expected = 0.5 * (1 + np.cos(np.pi * (np.arange(100) + 0.5) / 100))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_steps_fall_every_few_epochs() -> None:
    settings = Train(learning_rate=1.0, schedule="step", step_epochs=2, step_factor=0.8, epochs=5)
    expected = 0.8 ** np.repeat([0, 0, 1, 1, 2], 20)
    np.testing.assert_allclose(rates(settings), expected, rtol=1e-6)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step"])
def test_warmup_rises_linearly_and_the_schedule_begins_behind_it(schedule: Any) -> None:
    settings = Train(
        learning_rate=1.0, schedule=schedule, warmup_fraction=0.2, epochs=10, step_epochs=4
    )
    found = rates(settings)
    np.testing.assert_allclose(found[:20], (np.arange(20) + 0.5) / 20, rtol=1e-6)
    behind = dataclasses.replace(settings, warmup_fraction=0.0, epochs=8)
    np.testing.assert_allclose(found[20:], rates(behind, 80), atol=1e-6)


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("clip", [0.0, 0.01])
def test_a_step_is_optaxs(decay: float, clip: float) -> None:
    model, settings = (
        MeanPooling(),
        Train(learning_rate=1e-2, weight_decay=decay, clip_norm=clip),
    )
    found = create(settings)
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
        found, _ = train_step(model, settings, found, batch())
    assert int(found.step) == 3
    for a, b in zip(leaves(found.params), leaves(params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_the_average_follows_the_parameters() -> None:
    settings = Train(learning_rate=1e-2, ema_decay=0.9)
    first = create(settings)
    assert first.evaluated is first.average
    second, _ = train_step(MeanPooling(), settings, first, batch())
    third, _ = train_step(MeanPooling(), settings, second, batch())
    for start, one, two, found in zip(
        *(leaves(t) for t in (first.params, second.params, third.params, third.average)),
        strict=True,
    ):
        np.testing.assert_allclose(
            found, 0.81 * start + 0.09 * one + 0.1 * two, rtol=1e-5, atol=1e-7
        )
    assert create(Train()).average is None


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_a_batch_of_nothing_changes_nothing(ema: float) -> None:
    settings = Train(learning_rate=1e-2, weight_decay=0.1, ema_decay=ema)
    before, _ = train_step(MeanPooling(), settings, create(settings), batch())
    after, losses = train_step(MeanPooling(), settings, before, batch(where=False))
    jax.tree.map(np.testing.assert_array_equal, after, before)
    assert float(losses.total) == 0


def test_parameters_start_from_seed_and_split() -> None:
    first, again = create(Train()), create(Train(learning_rate=1.0))
    jax.tree.map(np.testing.assert_array_equal, first.params, again.params)
    for other in (create(Train(), seed=1), create(Train(), split=1)):
        kernels = [t.params["Dense_0"]["kernel"] for t in (first, other)]
        assert np.abs(kernels[0] - kernels[1]).min() > 0
        assert (first.key != other.key).any()


def test_dropout_changes_from_step_to_step_and_not_with_the_device() -> None:
    model = A2INet(width=4, fusion="concat_mlp", neck=4, hidden=2)
    settings = Train()
    first = create(settings, model=model)
    keys = [step._keys(first._replace(step=jnp.int32(s)), 8, None) for s in (0, 0, 1)]
    data = [np.asarray(jax.random.key_data(k)) for k in keys]
    np.testing.assert_array_equal(data[0], data[1])
    assert (data[0] != data[2]).any(axis=1).all()
    assert len(np.unique(data[0], axis=0)) == 8
    dealt = jax.vmap(lambda _: jax.random.key_data(step._keys(first, 2, "d")), axis_name="d")
    np.testing.assert_array_equal(np.concatenate(dealt(jnp.arange(4))), data[0])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schedule", "linear"),
        ("epoch_rule", "best"),
        ("parallel", "tpu"),
        ("placement", "disk"),
        ("epochs", 0),
        ("buckets", 0),
        ("steps_per_call", 0),
        ("warmup", 1.0),
        ("ema", -0.1),
        ("memory_share", 1.5),
        ("clip_norm", -1.0),
        ("weight_decay", -1.0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("step_factor", 0.0),
    ],
)
def test_settings_are_checked(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value!r}"):
        Train(**{field: value})
