import jax
import jax.numpy as jnp
import numpy as np
import pytest

from a2inet_jax.model.catm import CATM
from a2inet_jax.model.masking import maximum
from tests import reference_head as reference
from tests.head_inputs import apply, parameters, quick_jit, run


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_catm_sees_zeros_beyond_each_videos_end(kernel: int) -> None:
    lengths, frames = (7, 4, 2, 1), 7
    rng = np.random.default_rng(0)
    x = rng.normal(size=(len(lengths), frames, 6))
    mask = np.arange(frames)[None, :] < np.array(lengths)[:, None]
    with jax.enable_x64(True):
        module = CATM(width=4, reduction=2, kernel=kernel, dtype=jnp.float64)
        params = parameters(module, x, mask)
        out = run(module, params, x, mask)
    for b, n in enumerate(lengths):
        np.testing.assert_allclose(out[b, :n], reference.catm(x[b, :n], params), rtol=1e-10)


def test_the_gates_are_available() -> None:
    x, mask = jnp.ones((2, 3, 8)), jnp.ones((2, 3), bool)
    module = CATM(width=4)
    assert set(jax.eval_shape(module.init, jax.random.key(0), x, mask)) == {"params"}
    params = parameters(module, x, mask, dtype=np.float32)
    _, state = run(module, params, x, mask, mutable="intermediates")
    for block in ("quality_saliency", "content_variation"):
        gate = state["intermediates"][block]["gate"][0]
        assert gate.shape == (2, 1, 4)
        assert np.all((gate > 0) & (gate < 1))


@pytest.mark.parametrize("frames", [0, 1, 5])
def test_gradients_of_constant_features_are_finite(frames: int) -> None:
    x = jnp.full((1, 5, 8), 0.1)
    mask = jnp.arange(5)[None, :] < frames
    module = CATM(width=4)
    params = parameters(module, x, mask, dtype=np.float32)
    gradients = quick_jit(jax.grad(lambda p, x: apply(module, p, x, mask).sum(), argnums=(0, 1)))(
        params, x
    )
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


def test_the_max_is_over_a_videos_own_frames() -> None:
    x = jnp.asarray([[[-3.0], [-2.0], [5.0]], [[-3.0], [-2.0], [5.0]]])
    mask = jnp.asarray([[True, True, False], [False, False, False]])
    np.testing.assert_array_equal(maximum(x, mask), [[[-2.0]], [[0.0]]])
