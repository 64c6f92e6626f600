import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from a2inet_jax.backbones.conv3d import ClipConv, max_pool
from tests.parity import QUICKLY_COMPILED

CASES = [  # window, stride, frames × height × width
    ((5, 7, 7), (1, 2, 2), (6, 9, 12)),
    ((3, 1, 1), (1, 1, 1), (4, 3, 5)),
    ((3, 3, 3), (2, 2, 2), (7, 8, 9)),
    ((7, 7, 7), (2, 2, 2), (8, 6, 7)),
    ((3, 3, 3), (2, 1, 2), (1, 1, 1)),
    ((1, 3, 3), (1, 2, 2), (3, 6, 5)),
    ((1, 1, 1), (2, 2, 2), (5, 4, 5)),
]


def padding(window: tuple[int, ...], same: bool) -> str | list[tuple[int, int]]:
    return "SAME" if same else [(side // 2, side // 2) for side in window]


def normal(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape, np.float32))


def clips(sizes: tuple[int, ...]) -> jax.Array:
    return normal(2, *sizes, 3)


@pytest.mark.parametrize("on_cpu", [True, False])
@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize(("window", "stride", "sizes"), CASES)
def test_convolution_equals_xlas_in_three_dimensions(
    window: tuple[int, int, int],
    stride: tuple[int, int, int],
    sizes: tuple[int, ...],
    same: bool,
    on_cpu: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not on_cpu:  # the branch of other devices
        monkeypatch.setattr(lax, "platform_dependent", lambda *x, cpu, default: default(*x))
    x = clips(sizes)
    network = ClipConv(4, window, stride, same)
    kernel = normal(*window, 3, 4)
    params = {"kernel": kernel, "bias": np.arange(4.0, dtype=np.float32)}
    with jax.default_matmul_precision("highest"):
        run = jax.jit(network.apply, compiler_options=QUICKLY_COMPILED)
        found = run({"params": params}, x)
        layout = ("NDHWC", "DHWIO", "NDHWC")
        expected = lax.conv_general_dilated(
            x, kernel, stride, padding(window, same), dimension_numbers=layout
        )
    expected = np.asarray(expected) + np.arange(4.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_computes_in_the_given_dtype() -> None:
    x = clips((3, 4, 4))
    network = ClipConv(2, (3, 3, 3), dtype=jnp.bfloat16)
    found, params = jax.eval_shape(network.init_with_output, jax.random.key(0), x)
    assert found.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize(("window", "stride", "sizes"), CASES)
def test_max_pool_equals_xlas_in_three_dimensions(
    window: tuple[int, int, int], stride: tuple[int, int, int], sizes: tuple[int, ...], same: bool
) -> None:
    x = clips(sizes) - 10  # so that a padding of zeros would be the maximum
    pads = padding(window, same)
    pads = pads if isinstance(pads, str) else [(0, 0), *pads, (0, 0)]
    expected = lax.reduce_window(x, -jnp.inf, lax.max, (1, *window, 1), (1, *stride, 1), pads)
    run = jax.jit(
        functools.partial(max_pool, window=window, stride=stride, same=same),
        compiler_options=QUICKLY_COMPILED,
    )
    np.testing.assert_array_equal(run(x), expected)
