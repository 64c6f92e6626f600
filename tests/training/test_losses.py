"""The loss against a double loop over pairs in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from a2inet_jax.training import losses


def by_the_equations(score: np.ndarray, label: np.ndarray, weight: float) -> tuple[float, ...]:
    """Total, MAE and rank loss, written out pair by pair."""
    n = len(score)
    absolute = sum(abs(s - m) for s, m in zip(score, label, strict=True)) / n
    rank = 0.0
    for i in range(n):
        for j in range(n):
            phi = 1.0 if label[i] >= label[j] else -1.0
            rank += max(0.0, abs(label[i] - label[j]) - phi * (score[i] - score[j]))
    return absolute + weight * rank / n**2, absolute, rank / n**2


def draw(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(size=n), random.random(n)


LABELS = {
    "random": draw(9)[1],
    "ties": np.array([0.1, 0.5, 0.5, 0.9, 0.1, 0.5, 0.2, 1.0, 0.0]),
    "all_equal": np.full(9, 0.4),
}


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("weight", [1.0, 0.3, 0.0])
def test_equals_the_double_loop(labels: str, weight: float) -> None:
    score, label = draw(9)[0], LABELS[labels]
    with jax.enable_x64(True):
        found = losses.total(jnp.array(score), jnp.array(label), jnp.ones(9, bool), weight)
        assert found.total.dtype == jnp.float64
    np.testing.assert_allclose(found, by_the_equations(score, label, weight), rtol=1e-13)


def test_one_video_has_no_rank_loss() -> None:
    found = losses.total(jnp.array([0.2]), jnp.array([0.7]), jnp.array([True]))
    np.testing.assert_allclose(found, (0.5, 0.5, 0.0), rtol=1e-6)


def test_rank_loss_is_zero_for_right_order_and_distance_only() -> None:
    label, where = jnp.array([0.0, 0.3, 1.0]), jnp.ones(3, bool)
    assert float(losses.rank_loss(label + 5, label, where)) == pytest.approx(0, abs=1e-6)
    assert float(losses.rank_loss(2 * label, label, where)) == pytest.approx(0, abs=1e-6)
    # Twice the |label difference|, in both orders of each of the three pairs, over 9.
    assert float(losses.rank_loss(-label, label, where)) == pytest.approx(4 * 2.0 / 9, rel=1e-6)


@pytest.mark.parametrize("filling", [0.0, 1e6, np.nan, np.inf])
def test_filling_rows_have_no_effect(filling: float) -> None:
    score, label = draw(5)
    where = np.array([True, False, True, True, False, True, True, False])
    wide_score, wide_label = np.full((2, 8), filling)
    wide_score[where], wide_label[where] = score, label

    def loss(s: jax.Array, m: jax.Array, w: jax.Array) -> jax.Array:
        return losses.total(s, m, w).total

    with jax.enable_x64(True):
        alone = jax.value_and_grad(loss)(jnp.array(score), jnp.array(label), jnp.ones(5, bool))
        value, gradient = jax.value_and_grad(loss)(
            jnp.array(wide_score), jnp.array(wide_label), jnp.array(where)
        )
    np.testing.assert_allclose(value, alone[0], rtol=1e-13)
    np.testing.assert_allclose(gradient[where], alone[1], rtol=1e-13)
    np.testing.assert_array_equal(gradient[~where], 0)


def test_no_valid_row_gives_zero_and_a_finite_gradient() -> None:
    def loss(s: jax.Array) -> jax.Array:
        return losses.total(s, jnp.zeros(3), jnp.zeros(3, bool)).total

    value, gradient = jax.value_and_grad(loss)(jnp.array([1.0, jnp.nan, 2.0]))
    assert float(value) == 0
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("label", [[0.5, 0.5, 0.5], [0.0, 0.5, 1.0]])
def test_gradient_is_finite_at_the_kinks(label: list[float]) -> None:
    def loss(s: jax.Array) -> jax.Array:
        return losses.total(s, jnp.array(label), jnp.ones(3, bool)).total

    assert np.isfinite(jax.grad(loss)(jnp.array(label))).all()


def test_gradient_agrees_with_finite_differences() -> None:
    score, label = draw(7, seed=3)
    with jax.enable_x64(True):

        def loss(s: jax.Array) -> jax.Array:
            return losses.total(s, jnp.array(label), jnp.ones(7, bool), 0.7).total

        gradient = jax.grad(loss)(jnp.array(score))
        steps = 1e-6 * np.eye(7)
        differences = [
            (float(loss(jnp.array(score + h))) - float(loss(jnp.array(score - h)))) / 2e-6
            for h in steps
        ]
    np.testing.assert_allclose(gradient, differences, atol=1e-8)
