import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads

from a2inet_jax.model.attention import GlobalSelfAttention
from tests import reference_head as reference
from tests.head_inputs import apply, parameters, quick_jit, run


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
        check_grads(lambda p, x: apply(module, p, x, mask), (params, x), order=1, modes=["rev"])
