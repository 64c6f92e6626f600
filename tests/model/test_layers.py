from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from a2inet_jax.model.layers import TemporalConvolution, torch_uniform
from tests.head_inputs import apply, parameters, quick_jit, run

CHANNELS, FEATURES = 5, 4


def flax_convolution(kernel: int, dtype: Any) -> nn.Module:
    return nn.Conv(FEATURES, (kernel,), padding="SAME", kernel_init=torch_uniform, dtype=dtype)


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("frames", [1, 3, 8])
def test_values_and_gradients_equal_flaxs_convolution(kernel: int, frames: int) -> None:
    x = np.random.default_rng(0).normal(size=(2, frames, CHANNELS))
    with jax.enable_x64(True):
        ours = TemporalConvolution(FEATURES, kernel, jnp.float64)
        theirs = flax_convolution(kernel, jnp.float64)
        params = parameters(ours, x)

        def loss(module: nn.Module, p: Any, x: Any) -> jax.Array:
            return jnp.sum(jnp.sin(apply(module, p, x)))

        gradient = quick_jit(jax.grad(loss, argnums=(1, 2)), static_argnums=0)
        np.testing.assert_allclose(run(ours, params, x), run(theirs, params, x), atol=1e-12)
        jax.tree.map(
            lambda one, other: np.testing.assert_allclose(one, other, atol=1e-12),
            gradient(ours, params, x),
            gradient(theirs, params, x),
        )


def test_initial_parameters_equal_flaxs_convolution() -> None:
    key, x = jax.random.key(0), jnp.ones((1, 4, CHANNELS))
    jax.tree.map(
        np.testing.assert_array_equal,
        TemporalConvolution(FEATURES).init(key, x),
        flax_convolution(3, jnp.float32).init(key, x),
    )


def test_parameters_are_float32_under_bfloat16() -> None:
    x = jnp.ones((1, 4, CHANNELS), jnp.bfloat16)
    module = TemporalConvolution(FEATURES, dtype=jnp.bfloat16)
    params = module.init(jax.random.key(0), x)["params"]
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(jnp.float32)}
    assert run(module, params, x).dtype == jnp.bfloat16
