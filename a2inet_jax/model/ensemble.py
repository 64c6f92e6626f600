"""The split models of a run: one file of stacked parameters, and their scores of a video."""

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

from a2inet_jax import files
from a2inet_jax.errors import RunError

_RANGES = "label_ranges"


@dataclass(frozen=True)
class Ensemble:
    """One set of parameters per split, with the label range to which its scores are mapped back.

    Attributes:
        params: Parameters of the model with a leading split axis, [S, ...].
        label_ranges: [S, 2] float64, the lowest and the highest label of each split's training subset.
    """

    params: Mapping[str, Any]
    label_ranges: np.ndarray

    def scores(
        self, model: nn.Module, streams: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Score one video with the model of every split.

        Args:
            model: The network that the parameters belong to.
            streams: Features of the video, each [T, D].

        Returns:
            Scores [S] and frame scores [S, T], float64, on the scale of the labels.
        """
        score_S, frame_scores_SxT = _apply(
            model, self.params, tuple(jnp.asarray(x) for x in streams)
        )
        low_Sx1, high_Sx1 = self.label_ranges[:, :1], self.label_ranges[:, 1:]
        range_Sx1 = high_Sx1 - low_Sx1
        score = low_Sx1[:, 0] + range_Sx1[:, 0] * np.asarray(score_S, np.float64)
        return score, low_Sx1 + range_Sx1 * np.asarray(frame_scores_SxT, np.float64)


@functools.partial(jax.jit, static_argnums=0)
def _apply(
    model: nn.Module, params: Mapping[str, Any], streams: tuple[jax.Array, ...]
) -> tuple[jax.Array, jax.Array]:
    mask_1xT = jnp.ones((1, streams[0].shape[0]), bool)
    batch = tuple(x[None] for x in streams)

    def score(p: Mapping[str, Any]) -> tuple[jax.Array, jax.Array]:
        out: Any = model.apply({"params": p}, batch, mask_1xT)
        return out.score[0], out.frame_scores[0]

    return jax.vmap(score)(params)


def save(
    path: Path, params: Sequence[Mapping[str, Any]], label_ranges: Sequence[tuple[float, float]]
) -> None:
    """Stack the parameters of the split models and write them to a safetensors file, whole or not at all."""
    stacked = jax.tree.map(lambda *leaves: np.stack([np.asarray(x) for x in leaves]), *params)
    tensors = traverse_util.flatten_dict(stacked, sep="/")
    tensors[_RANGES] = np.asarray(label_ranges, np.float64)
    files.write(path, safetensors.numpy.save(tensors))


def load(path: Path) -> Ensemble:
    """Read the models that `save` wrote.

    Raises:
        FileNotFoundError: The run has no models yet.
        RunError: The file is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: train the run first (`a2inet train`)")
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise RunError(f"{path} is damaged or incomplete ({error}): train again") from error
    ranges = tensors.pop(_RANGES)
    return Ensemble(traverse_util.unflatten_dict(tensors, sep="/"), ranges)
