import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from a2inet_jax.model.temporal import TemporalNetwork, subjective_pooling
from tests import reference_head as reference
from tests.head_inputs import parameters, quick_jit, run

pool = quick_jit(subjective_pooling, static_argnums=2)


@settings(deadline=None, max_examples=60)
@given(
    length=st.integers(1, 30),
    tau=st.sampled_from([1, 3, 12]),
    beta=st.sampled_from([0.0, 0.3, 1.0]),
    scale=st.sampled_from([0.1, 5.0]),
    garbage=st.sampled_from([np.nan, np.inf, -np.inf, -1e30, 0.0]),
    seed=st.integers(0, 2**16),
)
def test_pooling_equals_the_formula_frame_by_frame(
    length: int, tau: int, beta: float, scale: float, garbage: float, seed: int
) -> None:
    q = np.random.default_rng(seed).normal(0, scale, length)
    padded = np.full((1, 30), garbage)
    padded[0, :length] = q
    with jax.enable_x64(True):
        pooled = pool(padded, np.arange(30)[None, :] < length, tau, beta)
    expected = reference.subjective_pooling(q, tau, beta)
    np.testing.assert_allclose(pooled[0, :length], expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(pooled[0, length:], 0)


def test_beta_weighs_the_present_and_windows_hold_tau_frames() -> None:
    q, mask = jnp.asarray([[1.0, 3.0, 2.0, 5.0]]), jnp.ones((1, 4), bool)
    np.testing.assert_allclose(pool(q, mask, 2, 0.0), [[1, 1, 2, 2]])  # memory
    weight = 1 / (1 + np.exp(-2.0))  # of 1, next to 3
    present = pool(q, mask, 2, 1.0)
    np.testing.assert_allclose(present[0, 0], 1 * weight + 3 * (1 - weight), rtol=1e-6)
    np.testing.assert_allclose(present[0, 3], 5)


def test_scores_far_from_zero_do_not_overflow() -> None:
    q, mask = jnp.full((1, 20), -500.0), jnp.ones((1, 20), bool)
    np.testing.assert_allclose(pool(q, mask), q, rtol=1e-6)
    np.testing.assert_allclose(pool(-q, mask), -q, rtol=1e-6)


def test_a_video_score_is_the_mean_of_its_pooled_frame_scores() -> None:
    rng = np.random.default_rng(0)
    x, mask = rng.normal(size=(2, 15, 3)), np.arange(15)[None, :] < np.array([[15], [4]])
    with jax.enable_x64(True):
        module = TemporalNetwork(neck=5, hidden=4, dtype=jnp.float64)
        params = parameters(module, x, mask)
        out = jax.device_get(run(module, params, x, mask))
    for b, n in enumerate((15, 4)):
        score, q = reference.temporal_network(x[b, :n], params, 12, 0.5)
        np.testing.assert_allclose(out.score[b], score, rtol=1e-10)
        np.testing.assert_allclose(out.frame_scores[b, :n], q, rtol=1e-10)
        np.testing.assert_array_equal(out.frame_scores[b, n:], 0)
