"""Optimiser and learning rate."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from a2inet_jax.training import batches, state, step
from a2inet_jax.training.settings import Settings
from a2inet_jax.training.state import TrainState
from tests.training_inputs import MeanPooling, make_features


def rates(settings: Settings, steps: int = 100) -> np.ndarray:
    return np.array(
        [state.learning_rate(settings, jnp.int32(s), jnp.int32(steps)) for s in range(steps)]
    )


def test_constant_rate() -> None:
    np.testing.assert_array_equal(rates(Settings(learning_rate=3e-4)), np.float32(3e-4))


def test_cosine_falls_from_the_height_to_zero() -> None:
    found = rates(Settings(learning_rate=1.0, schedule="cosine"))
    assert found[0] == 1
    assert found[50] == pytest.approx(0.5, abs=1e-6)
    assert 0 < found[-1] < 1e-3
    assert (np.diff(found) < 0).all()


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_warmup_rises_linearly(schedule: str) -> None:
    found = rates(Settings(learning_rate=1.0, schedule=schedule, warmup=0.2))  # type: ignore[arg-type]
    np.testing.assert_allclose(found[:20], np.arange(1, 21) / 20, rtol=1e-6)
    assert found.argmax() in (19, 20)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_step_is_adam_or_adamw_of_optax(decay: float) -> None:
    model, features = MeanPooling(), make_features()
    settings = Settings(learning_rate=1e-2, weight_decay=decay)
    found = state.create(model, settings, features, 0, 10)
    data = batches.Data(features.streams, features.mask, features.mos.astype(np.float32))
    batch = batches.gather(data, np.arange(8), np.ones(8, bool))

    reference = optax.adamw(1e-2, weight_decay=decay) if decay else optax.adam(1e-2)
    params, opt_state = found.params, reference.init(found.params)
    for _ in range(3):
        gradient, _ = step.gradients(model, params, batch, 1.0)
        updates, opt_state = reference.update(gradient, opt_state, params)
        params = optax.apply_updates(params, updates)
        found, _ = step.train_step(model, settings, found, batch)
    assert int(found.step) == 3
    for a, b in zip(leaves(found), leaves(found._replace(params=params))):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_parameters_start_from_seed_and_split() -> None:
    model, features = MeanPooling(), make_features()
    first, again, split, seed = (
        leaves(state.create(model, Settings(seed=s), features, k, 10))
        for s, k in [(0, 0), (0, 0), (0, 1), (1, 0)]
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again))
    for other in (split, seed):
        assert any(not np.array_equal(a, b) for a, b in zip(first, other))


@pytest.mark.parametrize(
    "wrong",
    [{"epoch_rule": "best"}, {"parallel": "mesh"}, {"schedule": "step"}, {"epochs": 0}],
)
def test_settings_refuse_what_they_do_not_know(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Settings(**wrong)  # type: ignore[arg-type]


def leaves(s: TrainState) -> list[np.ndarray]:
    """The parameters, flat."""
    return [np.asarray(x) for module in s.params.values() for x in module.values()]
