from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from a2inet_jax.model.gru import GRU, recurrence
from tests import reference_head as reference
from tests.head_inputs import parameters, quick_jit, run


def torch_gru(
    x: np.ndarray, w_ih: np.ndarray, w_hh: np.ndarray, b_ih: np.ndarray, b_hh: np.ndarray
) -> np.ndarray:
    """Compute torch.nn.GRU by its documentation, with weights `[3H, C]` and `[3H, H]` in torch's order."""
    h, states = np.zeros(w_hh.shape[1]), []
    for frame in x:
        i_r, i_z, i_n = np.split(w_ih @ frame + b_ih, 3)
        h_r, h_z, h_n = np.split(w_hh @ h + b_hh, 3)
        r, z = reference.sigmoid(i_r + h_r), reference.sigmoid(i_z + h_z)
        h = (1 - z) * np.tanh(i_n + r * h_n) + z * h
        states.append(h)
    return np.array(states)


@pytest.mark.parametrize("frames", [1, 9, 19])
def test_gru_equals_torchs_equations(frames: int) -> None:
    hidden, channels = 4, 3
    rng = np.random.default_rng(0)
    w_ih, w_hh = rng.normal(size=(3 * hidden, channels)), rng.normal(size=(3 * hidden, hidden))
    b_ih, b_hh = rng.normal(size=(2, 3 * hidden))
    x = rng.normal(size=(2, frames, channels))
    folded = b_ih + np.where(np.arange(3 * hidden) < 2 * hidden, b_hh, 0)
    params = {
        "input": {"kernel": w_ih.T, "bias": folded},
        "recurrent_kernel": w_hh.T,
        "recurrent_bias": b_hh[2 * hidden :],
    }
    with jax.enable_x64(True):
        states = run(GRU(hidden, jnp.float64), params, x)
    for b in range(2):
        np.testing.assert_allclose(states[b], torch_gru(x[b], w_ih, w_hh, b_ih, b_hh), rtol=1e-10)


def test_initial_weights_are_in_torchs_range() -> None:
    params = quick_jit(GRU(hidden=16).init)(jax.random.key(0), jnp.ones((1, 2, 64)))["params"]
    for kernel in (params["input"]["kernel"], params["recurrent_kernel"]):
        assert 0.9 / 4 < np.abs(kernel).max() <= 1 / 4


def test_state_is_float32_under_bfloat16() -> None:
    x = jnp.ones((1, 2, 3), jnp.bfloat16)
    module = GRU(hidden=4, dtype=jnp.bfloat16)
    params = parameters(module, x, dtype=np.float32)
    assert run(module, params, x).dtype == jnp.float32


def plain_loop(input_BxTx3H: Any, kernel_Hx3H: Any, bias_H: Any) -> jax.Array:
    """Compute the recurrence as a loop that JAX differentiates by itself."""

    def step(h: jax.Array, input_Bx3H: jax.Array) -> tuple[jax.Array, jax.Array]:
        i_r, i_z, i_n = jnp.split(input_Bx3H, 3, axis=-1)
        h_r, h_z, h_n = jnp.split(h @ kernel_Hx3H, 3, axis=-1)
        z = jax.nn.sigmoid(i_z + h_z)
        n = jnp.tanh(i_n + jax.nn.sigmoid(i_r + h_r) * (h_n + bias_H[None, :]))
        h = (1 - z) * n + z * h
        return h, h

    zeros = jnp.zeros((len(input_BxTx3H), len(bias_H)), input_BxTx3H.dtype)
    _, states = jax.lax.scan(step, zeros, jnp.swapaxes(input_BxTx3H, 0, 1))
    return jnp.swapaxes(states, 0, 1)


def arguments(*splits: int, frames: int = 11, hidden: int = 4) -> tuple[np.ndarray, ...]:
    """Return random arguments of `recurrence`, with leading axes."""
    rng = np.random.default_rng(0)
    shapes = ((3, frames, 3 * hidden), (hidden, 3 * hidden), (hidden,))
    return tuple(rng.normal(size=(*splits, *shape)) for shape in shapes)


def gradient(function: Any) -> Any:
    """Differentiate a loss in which every state has a different weight."""

    def loss(*args: jax.Array) -> jax.Array:
        states = function(*args)
        return jnp.sum(jnp.sin(jnp.arange(states.size).reshape(states.shape)) * states**2)

    return jax.grad(loss, argnums=(0, 1, 2))


plain_gradient = quick_jit(gradient(plain_loop))


@pytest.mark.parametrize("frames", [1, 2, 11])
def test_backward_pass_equals_the_plain_loops(frames: int) -> None:
    with jax.enable_x64(True):
        args = arguments(frames=frames)
        ours, expected = quick_jit(gradient(recurrence))(*args), plain_gradient(*args)
    for one, other in zip(ours, expected):
        assert one.dtype == np.float64
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mapped", [jax.vmap, lambda f: lambda *a: jax.lax.map(lambda s: f(*s), a)])
def test_mapped_gradients_equal_each_ones_alone(mapped: Any) -> None:
    with jax.enable_x64(True):
        args = arguments(3)
        ours = quick_jit(mapped(gradient(recurrence)))(*args)
        for s in range(3):
            expected = plain_gradient(*(a[s] for a in args))
            for one, other in zip(ours, expected):
                np.testing.assert_allclose(one[s], other, rtol=1e-12, atol=1e-12)


def test_gradients_of_a_shared_kernel_add_up() -> None:
    with jax.enable_x64(True):
        (inputs, *_), (_, kernel, bias) = arguments(3), arguments()
        over_inputs = (0, None, None)
        ours, expected = (
            quick_jit(gradient(jax.vmap(f, over_inputs)))(inputs, kernel, bias)
            for f in (recurrence, plain_loop)
        )
    for one, other in zip(ours, expected):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_backward_pass_equals_finite_differences() -> None:
    with jax.enable_x64(True):
        check_grads(jax.jit(recurrence), arguments(), order=1, modes=["rev"])
