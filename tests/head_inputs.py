"""Small batches and parameters for the tests of the model."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from flax import linen as nn

WIDTHS = (5, 7)  # of the two streams
GARBAGE = (np.nan, np.inf, -np.inf, 1e30, 0.0)


def videos(lengths: Sequence[int], seed: int = 0) -> list[tuple[np.ndarray, ...]]:
    """Return one pair of float64 streams `[T, width]` per video."""
    rng = np.random.default_rng(seed)
    return [tuple(rng.normal(0.3, 1.0, (n, width)) for width in WIDTHS) for n in lengths]


def batch(
    clips: Sequence[tuple[np.ndarray, ...]], frames: int, garbage: float = 0.0
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Return streams `[B, frames, width]` with garbage after each video's end, and the mask."""
    streams = tuple(np.full((len(clips), frames, width), garbage) for width in WIDTHS)
    mask = np.zeros((len(clips), frames), bool)
    for b, clip in enumerate(clips):
        mask[b, : len(clip[0])] = True
        for stream, x in zip(streams, clip, strict=True):
            stream[b, : len(x)] = x
    return streams, mask


def apply(module: nn.Module, params: Any, *inputs: Any, mutable: Any = False) -> Any:
    """Apply the module to the inputs."""
    return module.apply({"params": params}, *inputs, mutable=mutable)


# The arrays are tiny: most of the time would be spent on optimising the compiled programs.
quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
run = quick_jit(apply, static_argnums=0, static_argnames="mutable")


def parameters(model: nn.Module, *inputs: Any, dtype: Any = np.float64) -> Any:
    """Return random parameters for the model, biases included: none is zero."""
    shapes = jax.eval_shape(model.init, jax.random.key(0), *inputs)["params"]
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: rng.normal(0, leaf.shape[0] ** -0.5 / 1.5, leaf.shape).astype(dtype), shapes
    )
