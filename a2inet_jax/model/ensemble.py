"""The split models of a run, stacked in one file, and their joint verdict on a video."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from flax import traverse_util
from safetensors import SafetensorError, safe_open

from a2inet_jax import atomic

_RANGES = "label_ranges"


@dataclass(frozen=True)
class Ensemble:
    """One set of parameters a split, each with the label range that its scores are mapped back to.

    Attributes:
        params: Parameters of the model with a leading split axis, [S, ...].
        label_ranges: float64 [S, 2], lowest and highest label of each split's training part.
    """

    params: Mapping[str, Any]
    label_ranges: np.ndarray

    def scores(
        self, model: nn.Module, streams: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Score one video with every split's model.

        Args:
            model: The network that the parameters belong to.
            streams: Features of the video, each [T, D].

        Returns:
            scores [S] and frame scores [S, T], float64, in the labels' scale.
        """
        score_S, frames_SxT = _apply(model, self.params, tuple(jnp.asarray(x) for x in streams))
        low, high = self.label_ranges[:, :1], self.label_ranges[:, 1:]
        score = low[:, 0] + (high - low)[:, 0] * np.asarray(score_S, np.float64)
        return score, low + (high - low) * np.asarray(frames_SxT, np.float64)


@functools.partial(jax.jit, static_argnums=0)
def _apply(
    model: nn.Module, params: Mapping[str, Any], streams: tuple[jax.Array, ...]
) -> tuple[jax.Array, jax.Array]:
    mask_1xT = jnp.ones((1, streams[0].shape[0]), bool)
    batch = tuple(x[None] for x in streams)

    def one(p: Mapping[str, Any]) -> tuple[jax.Array, jax.Array]:
        out: Any = model.apply({"params": p}, batch, mask_1xT)
        return out.score[0], out.frame_scores[0]

    return jax.vmap(one)(params)


def save(
    path: Path, params: Sequence[Mapping[str, Any]], label_ranges: Sequence[tuple[float, float]]
) -> None:
    """Stack the parameters of the split models and write them to a safetensors file, whole or not at all."""
    stacked = jax.tree.map(lambda *leaves: np.stack([np.asarray(x) for x in leaves]), *params)
    tensors = traverse_util.flatten_dict(stacked, sep="/")
    tensors[_RANGES] = np.asarray(label_ranges, np.float64)
    atomic.write(path, safetensors.numpy.save(tensors))


def load(path: Path) -> Ensemble:
    """Read what `save` wrote; FileNotFoundError or ValueError says what is wrong with the file."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: train the run first (`a2inet train`)")
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole model file ({error}): train again") from error
    ranges = tensors.pop(_RANGES)
    return Ensemble(traverse_util.unflatten_dict(tensors, sep="/"), ranges)
