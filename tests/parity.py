"""Comparison of our features to those of reference networks."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from a2inet_jax.backbones import frame_features, registry
from a2inet_jax.backbones.convert import Params
from tests.make_torch_expectations import EXPECTED

# Such programs run a few times, so compilation dominates.
QUICKLY_COMPILED = {"xla_backend_optimization_level": "0"}


@functools.cache
def _extractor(name: str, dtype: jnp.dtype) -> Callable[[Params, np.ndarray], jax.Array]:
    extract = functools.partial(
        frame_features.extract_features, registry.BACKBONES[name], dtype=dtype
    )
    return jax.jit(extract, compiler_options=QUICKLY_COMPILED)


def features(
    name: str, params: Params, frames: np.ndarray, dtype: jnp.dtype = jnp.float32
) -> np.ndarray:
    """Extract features of frames, [B, width], with exact products."""
    with jax.default_matmul_precision("highest"):
        return np.asarray(_extractor(name, dtype)(params, frames))


def assert_maps_close(
    found: np.ndarray, file: str, key: str, channels: tuple[int, ...], tolerance: float
) -> None:
    """Assert that means and deviations of each map are close to the expected ones.

    Args:
        found: [rows, 2 Σ channels].
        file: Name of a file in tests/expected.
        key: Key of the expected array in it.
        channels: Channels of the maps.
        tolerance: Largest error as a fraction of the largest expected value.
    """
    with np.load(EXPECTED / file) as arrays:
        expected = arrays[key]
    assert found.shape == expected.shape
    ends = np.cumsum(np.repeat(channels, 2))
    assert ends[-1] == expected.shape[1]
    for start, end in zip((0, *ends), ends):
        expected_map = expected[:, start:end]
        error = np.abs(found[:, start:end] - expected_map).max()
        assert error <= tolerance * max(np.abs(expected_map).max(), 1e-6), (key, start)
