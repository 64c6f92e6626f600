"""CGIN and its alternatives, and the attention."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from a2inet_jax.config import NormAxis
from a2inet_jax.errors import ConfigError
from a2inet_jax.model.cagi import CGIN, FGIN, GlobalSelfAttention, adain, normalize
from tests import reference_head as reference
from tests.head_inputs import apply, parameters, quick_jit, run

quick_normalize = quick_jit(normalize, static_argnums=2)


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
    np.testing.assert_allclose(difference, quick_normalize(x, mask, "time"), atol=1e-6)


@pytest.mark.parametrize(("norm_axis", "axis"), [("time", 0), ("channel", 1)])
def test_adain_gives_one_stream_the_statistics_of_the_other(norm_axis: NormAxis, axis: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(5, 3, (1, 9, 4)), rng.normal(-1, 2, (1, 9, 4))
    mask = np.arange(9)[None, :] < 6
    out = quick_jit(adain, static_argnums=3)(*map(jnp.asarray, (x, y, mask)), norm_axis)[0, :6]
    np.testing.assert_allclose(out.mean(axis), y[0, :6].mean(axis), atol=1e-5)
    np.testing.assert_allclose(out.std(axis), y[0, :6].std(axis), atol=1e-4)


def test_statistics_are_of_a_videos_own_frames() -> None:
    x = jnp.asarray([[[1.0], [3.0], [100.0]]])
    over_time = quick_normalize(x, jnp.asarray([[True, True, False]]), "time")
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
    normalized = quick_normalize(x.astype(jnp.bfloat16), jnp.ones((1, 8), bool), "time")
    assert normalized.dtype == jnp.float32
    expected = quick_normalize(x, jnp.ones((1, 8), bool), "time")
    np.testing.assert_allclose(normalized, expected, atol=1e-4)


def test_an_unknown_axis_is_refused() -> None:
    with pytest.raises(ConfigError, match="'time' or 'channel'"):
        normalize(jnp.ones((1, 2, 3)), jnp.ones((1, 2), bool), "space")  # type: ignore[arg-type]


def test_attention_equals_eq_5_over_a_videos_own_frames() -> None:
    lengths, frames = (6, 3, 1), 6
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, frames, 4))
    mask = np.arange(frames)[None, :] < np.array(lengths)[:, None]
    with jax.enable_x64(True):
        module = GlobalSelfAttention(dtype=jnp.float64)
        params = parameters(module, x, mask)
        out, state = run(module, params, x, mask, mutable="intermediates")
    attention_BxTxT = np.asarray(state["intermediates"]["attention"][0])
    np.testing.assert_allclose(attention_BxTxT.sum(axis=-1), 1, rtol=1e-12)
    assert np.all(attention_BxTxT[~np.broadcast_to(mask[:, None, :], attention_BxTxT.shape)] == 0)
    for b, n in enumerate(lengths):
        np.testing.assert_allclose(
            attention_BxTxT[b, :n, :n], reference.attention_map(x[b, :n], params), rtol=1e-10
        )
        np.testing.assert_allclose(out[b, :n], reference.attention(x[b, :n], params), rtol=1e-10)


def test_a_row_without_frames_is_finite() -> None:
    x, mask = jnp.ones((1, 3, 4)), jnp.zeros((1, 3), bool)
    module = GlobalSelfAttention()
    params = parameters(module, x, mask, dtype=np.float32)
    value, gradient = quick_jit(jax.value_and_grad(lambda x: apply(module, params, x, mask).sum()))(
        x
    )
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_bfloat16_computes_the_softmax_in_float32() -> None:
    x, mask = jnp.ones((1, 3, 4)), jnp.ones((1, 3), bool)
    module = GlobalSelfAttention(dtype=jnp.bfloat16)
    params = parameters(module, x, mask, dtype=np.float32)
    _, state = run(module, params, x, mask, mutable="intermediates")
    assert state["intermediates"]["attention"][0].dtype == jnp.float32


def test_gradients_of_bfloat16_are_multiplied_in_bfloat16() -> None:
    x, mask = jnp.ones((1, 3, 4), jnp.bfloat16), jnp.ones((1, 3), bool)
    module = GlobalSelfAttention(dtype=jnp.bfloat16)
    params = parameters(module, x, mask, dtype=np.float32)

    def loss(params: Any, x: jax.Array) -> jax.Array:
        return apply(module, params, x, mask).sum()

    text = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(params, x).as_text()
    products = re.findall(r"dot_general.* : \(tensor<\S+x(\w+)>, tensor<\S+x(\w+)>\)", text)
    assert set(products) == {("bf16", "bf16")}


def test_gradient_equals_finite_differences() -> None:
    rng = np.random.default_rng(0)
    x, mask = rng.normal(size=(2, 5, 3)), np.arange(5)[None, :] < np.array([[5], [2]])
    with jax.enable_x64(True):
        module = GlobalSelfAttention(dtype=jnp.float64)
        params = parameters(module, x, mask)
        function = jax.jit(lambda p, x: apply(module, p, x, mask))
        check_grads(function, (params, x), order=1, modes=["rev"])
