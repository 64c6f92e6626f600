"""Every form of a convolution, compared to sums in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from a2inet_jax.backbones.conv2d import Conv, convolve, max_pool, window_pads
from tests.parity import QUICKLY_COMPILED

# Matrix products and convolutions of each form.
ONE_PRODUCT, SIXTEEN_PRODUCTS, XLA = (1, 0), (16, 0), (0, 1)


def images(*shape: int, dtype: str = "float32") -> jax.Array:
    return jnp.asarray(np.random.RandomState(0).standard_normal(shape), dtype)


def convolve_jitted(x: jax.Array, kernel: jax.Array, strides: tuple, pads: list) -> jax.Array:
    run = jax.jit(
        functools.partial(convolve, strides=strides, pads=pads), compiler_options=QUICKLY_COMPILED
    )
    return run(x, kernel)


def windows(x: np.ndarray, k: int, stride: int, pads: list, fill: float) -> np.ndarray:
    """Return all windows of padded images, [B, h, w, C, k, k] float64."""
    x = np.pad(x.astype(np.float64), ((0, 0), *pads, (0, 0)), constant_values=fill)
    return np.lib.stride_tricks.sliding_window_view(x, (k, k), (1, 2))[:, ::stride, ::stride]


def form_of(x: jax.Array, kernel: jax.Array, stride: int, pads: list, platform: str) -> tuple:
    """Count matrix products and convolutions in the program for a platform."""
    jitted = jax.jit(lambda x, kernel: convolve(x, kernel, (stride, stride), pads))
    text = jitted.trace(x, kernel).lower(lowering_platforms=(platform,)).as_text()
    return tuple(text.count(f"stablehlo.{name}") for name in ("dot_general", "convolution"))


@pytest.mark.parametrize(
    ("size", "channels", "k", "stride", "form"),
    [
        ((7, 10), (5, 6), 1, 1, ONE_PRODUCT),
        ((7, 10), (5, 6), 1, 2, ONE_PRODUCT),
        ((20, 20), (128, 130), 3, 1, SIXTEEN_PRODUCTS),
        ((21, 19), (130, 128), 3, 1, SIXTEEN_PRODUCTS),
        ((20, 20), (127, 128), 3, 1, XLA),
        ((20, 20), (128, 127), 3, 1, XLA),
        ((20, 20), (128, 128), 3, 2, XLA),
        ((12, 16), (128, 128), 3, 1, XLA),  # too few tiles
        ((20, 20), (128, 128), 5, 1, XLA),
        ((13, 16), (3, 8), 7, 2, XLA),
    ],
)
@pytest.mark.parametrize("same", [False, True])
def test_convolution(
    size: tuple[int, int], channels: tuple[int, int], k: int, stride: int, form: tuple, same: bool
) -> None:
    x, kernel = images(2, *size, channels[0]), images(k, k, *channels)
    pads = window_pads(size, (k, k), (stride, stride), same)
    assert form_of(x[:1], kernel, stride, pads, "cpu") == form
    assert form_of(x[:1], kernel, stride, pads, "cuda") == XLA
    found = convolve_jitted(x, kernel, (stride, stride), pads)
    windows_x = windows(np.asarray(x), k, stride, pads, 0)
    expected = np.tensordot(windows_x, np.asarray(kernel, np.float64), ((4, 5, 3), (0, 1, 2)))
    assert found.shape == expected.shape
    assert found.dtype == jnp.float32
    assert np.abs(found - expected).max() <= 2e-6 * np.abs(expected).max()


def test_any_padding() -> None:
    """No padding, and more than half a window."""
    x, kernel = images(1, 22, 23, 128), images(3, 3, 128, 128)
    for pads in ([(0, 0), (0, 0)], [(0, 2), (3, 0)]):
        assert form_of(x, kernel, 1, pads, "cpu") == SIXTEEN_PRODUCTS
        windows_x = windows(np.asarray(x), 3, 1, pads, 0)
        expected = np.tensordot(windows_x, np.asarray(kernel, np.float64), ((4, 5, 3), (0, 1, 2)))
        np.testing.assert_allclose(
            convolve_jitted(x, kernel, (1, 1), pads), expected, atol=2e-6 * np.abs(expected).max()
        )
    x, kernel = x[..., :2], images(1, 1, 2, 4)
    assert convolve(x, kernel, (1, 1), [(1, 1), (0, 2)]).shape == (1, 24, 25, 4)


def test_different_strides() -> None:
    x, kernel = images(1, 9, 9, 2), images(1, 1, 2, 4)
    found = convolve(x, kernel, (2, 3), [(0, 0), (0, 0)])
    np.testing.assert_allclose(found, x[:, ::2, ::3] @ kernel[0, 0], rtol=1e-5, atol=1e-6)


def test_narrow_dtypes_use_xla() -> None:
    x, kernel = images(1, 20, 20, 128, dtype="bfloat16"), images(3, 3, 128, 128, dtype="bfloat16")
    assert form_of(x, kernel, 1, [(1, 1), (1, 1)], "cpu") == XLA


def test_layer_adds_its_bias_and_computes_in_its_dtype() -> None:
    x = images(1, 5, 6, 3)
    for dtype, tolerance in ((jnp.float32, 1e-6), (jnp.bfloat16, 2e-2)):
        layer = Conv(4, 3, 2, dtype=dtype)
        shapes = jax.eval_shape(layer.init, jax.random.key(0), x)["params"]
        assert {name: leaf.dtype for name, leaf in shapes.items()} == {
            "kernel": jnp.float32,
            "bias": jnp.float32,
        }
        assert shapes["kernel"].shape == (3, 3, 3, 4)
        params = {"kernel": images(3, 3, 3, 4), "bias": jnp.arange(4.0)}
        found = jnp.asarray(jax.jit(layer.apply)({"params": params}, x))
        assert found.dtype == dtype
        expected = convolve_jitted(x, params["kernel"], (2, 2), [(1, 1), (1, 1)])
        expected += params["bias"].reshape(1, 1, 1, 4)
        assert np.abs(found.astype(jnp.float32) - expected).max() <= tolerance * expected.max()


@pytest.mark.parametrize(("k", "stride"), [(3, 2), (3, 1), (2, 2)])
def test_max_pool(k: int, stride: int) -> None:
    """All numbers are negative: padding must not be the maximum."""
    x = -jnp.abs(images(2, 9, 12, 3)) - 1
    pads = [(1, 1), (0, 1)]
    found = jax.jit(lambda x: max_pool(x, k, stride, pads))(x)
    expected = windows(np.asarray(x), k, stride, pads, -np.inf).max((4, 5))
    np.testing.assert_array_equal(found, expected)
