"""Our features beside those that PyTorch gave."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from a2inet_jax.backbones import frame_features, registry
from a2inet_jax.backbones.convert import Params
from tests.make_torch_expectations import EXPECTED


def features(
    name: str, params: Params, frames: np.ndarray, dtype: jnp.dtype = jnp.float32
) -> np.ndarray:
    """Of frames, [B, width], with exact products."""
    with jax.default_matmul_precision("highest"):
        run = jax.jit(
            functools.partial(
                frame_features.extract_features, registry.BACKBONES[name], dtype=dtype
            )
        )
        return np.asarray(run(params, frames))


def assert_maps_close(
    found: np.ndarray, file: str, key: str, channels: tuple[int, ...], tolerance: float
) -> None:
    """Means and deviations of each map, within a share of their largest expected value.

    Args:
        found: [rows, 2 Σ channels].
        file: In tests/expected.
        key: Of the expected array in it.
        channels: Of the maps.
        tolerance: The share.
    """
    with np.load(EXPECTED / file) as arrays:
        expected = arrays[key]
    assert found.shape == expected.shape
    ends = np.cumsum(np.repeat(channels, 2))
    assert ends[-1] == expected.shape[1]
    for start, end in zip((0, *ends), ends):
        wanted = expected[:, start:end]
        error = np.abs(found[:, start:end] - wanted).max()
        assert error <= tolerance * max(np.abs(wanted).max(), 1e-6), (key, start)
