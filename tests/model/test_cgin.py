from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from a2inet_jax.config import NormAxis
from a2inet_jax.errors import ConfigError
from a2inet_jax.model.cgin import CGIN, FGIN, adain, normalize
from tests import reference_head as reference
from tests.head_inputs import apply, parameters, quick_jit, run


@pytest.mark.parametrize("norm_axis", ["time", "channel"])
@pytest.mark.parametrize("frames", [1, 6])
def test_cgin_equals_eq_4(norm_axis: NormAxis, frames: int) -> None:
    rng = np.random.default_rng(0)
    quality, semantic = rng.normal(2, 3, (2, 1, frames, 4))
    mask = np.ones((1, frames), bool)
    with jax.enable_x64(True):
        module = CGIN(norm_axis, dtype=jnp.float64)
        params = parameters(module, quality, semantic, mask)
        out = run(module, params, quality, semantic, mask)
    expected = reference.cgin(quality[0], semantic[0], params, norm_axis)
    np.testing.assert_allclose(out[0], expected, rtol=1e-10)


def test_gamma_1_is_the_difference_between_eq_3_and_eq_2() -> None:
    rng = np.random.default_rng(0)
    x, y = jnp.asarray(rng.normal(size=(2, 1, 6, 4)), jnp.float32)
    mask = jnp.ones((1, 6), bool)
    params = parameters(FGIN(), x, y, mask, dtype=np.float32)
    difference = run(FGIN(gamma_1=1.0), params, x, y, mask) - run(FGIN(), params, x, y, mask)
    np.testing.assert_allclose(difference, normalize(x, mask, "time"), atol=1e-6)


@pytest.mark.parametrize(("norm_axis", "axis"), [("time", 0), ("channel", 1)])
def test_adain_gives_one_stream_the_statistics_of_the_other(norm_axis: NormAxis, axis: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(5, 3, (1, 9, 4)), rng.normal(-1, 2, (1, 9, 4))
    mask = np.arange(9)[None, :] < 6
    out = adain(jnp.asarray(x), jnp.asarray(y), jnp.asarray(mask), norm_axis)[0, :6]
    np.testing.assert_allclose(out.mean(axis), y[0, :6].mean(axis), atol=1e-5)
    np.testing.assert_allclose(out.std(axis), y[0, :6].std(axis), atol=1e-4)


def test_statistics_are_of_a_videos_own_frames() -> None:
    x = jnp.asarray([[[1.0], [3.0], [100.0]]])
    over_time = normalize(x, jnp.asarray([[True, True, False]]), "time")
    np.testing.assert_allclose(over_time[0, :, 0], [-1, 1, 0], atol=1e-4)


@pytest.mark.parametrize("norm_axis", ["time", "channel"])
@pytest.mark.parametrize("frames", [0, 1, 7])
def test_constant_streams_have_finite_values_and_gradients(
    norm_axis: NormAxis, frames: int
) -> None:
    x = jnp.full((1, 7, 4), 0.1)
    mask = jnp.arange(7)[None, :] < frames
    module = CGIN(norm_axis)
    params = parameters(module, x, x, mask, dtype=np.float32)

    def total(params: Any, quality: jax.Array, semantic: jax.Array) -> jax.Array:
        return jnp.sum(
            jnp.where(mask[:, :, None], apply(module, params, quality, semantic, mask), 0)
        )

    value, gradients = quick_jit(jax.value_and_grad(total, argnums=(0, 1, 2)))(params, x, 2 * x)
    assert np.isfinite(value)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


def test_bfloat16_computes_statistics_in_float32() -> None:
    x = 1000 + jnp.arange(8, dtype=jnp.float32)[None, :, None] * 8
    normalized = normalize(x.astype(jnp.bfloat16), jnp.ones((1, 8), bool), "time")
    assert normalized.dtype == jnp.float32
    np.testing.assert_allclose(normalized, normalize(x, jnp.ones((1, 8), bool), "time"), atol=1e-4)


def test_an_unknown_axis_is_refused() -> None:
    with pytest.raises(ConfigError, match="'time' or 'channel'"):
        normalize(jnp.ones((1, 2, 3)), jnp.ones((1, 2), bool), "space")  # type: ignore[arg-type]
