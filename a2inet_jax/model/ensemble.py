"""The ensemble of a run: one file of stacked parameters, and the scores of a video by each member."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

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
# The file's only metadata: safetensors writes several in no fixed order.
_CHECKSUM = "sha256"


@dataclass(frozen=True)
class Ensemble:
    """The parameters of S ensemble members, with the label ranges that their scores are mapped back to.

    Attributes:
        params: Parameters of the model, leaves `[S, ...]`.
        label_ranges: `[S, 2]` float64, the lowest and the highest label of each member's training set.
    """

    params: Any
    label_ranges: np.ndarray

    @classmethod
    def stack(
        cls, params: Sequence[Mapping[str, Any]], label_ranges: Sequence[tuple[float, float]]
    ) -> Self:
        """Stack the parameters of S members, leaves `[...]`, and their label ranges."""
        stacked = jax.tree.map(lambda *leaves: np.stack([np.asarray(x) for x in leaves]), *params)
        return cls(stacked, np.asarray(label_ranges, np.float64))

    def scores(
        self, model: nn.Module, streams: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Score one video, which is neither padded nor batched, by every member.

        Args:
            model: The network that the parameters belong to.
            streams: Features of the video, each `[T, D]`.

        Returns:
            Scores `[S]` and frame scores `[S, T]`, float64, in the scale of the labels.
        """
        score_S, frame_scores_SxT = _apply(
            model, self.params, tuple(jnp.asarray(x) for x in streams)
        )
        range_2xS = self.label_ranges.T
        return (
            to_labels(np.asarray(score_S, np.float64), range_2xS),
            to_labels(np.asarray(frame_scores_SxT, np.float64), range_2xS[:, :, None]),
        )


def to_labels(score: np.ndarray, label_range: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Map scores of a model, where 0 and 1 are the ends of the label range, to the labels' own scale."""
    low, high = label_range
    return low + (high - low) * score


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


def save(path: Path, models: Ensemble) -> None:
    """Write the models to a safetensors file with a checksum; equal models give equal bytes.

    Raises:
        FolderError: The file cannot be written; nothing incomplete is left.
    """
    tensors = {**traverse_util.flatten_dict(models.params, sep="/"), _RANGES: models.label_ranges}
    tensors = {name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}
    metadata = {_CHECKSUM: files.sha256_of_arrays(tensors)}
    files.write(path, safetensors.numpy.save(tensors, metadata))


def load(path: Path) -> Ensemble:
    """Read the models that `save` wrote.

    Raises:
        FileNotFoundError: The run has no models yet.
        RunError: The file is damaged, was changed, or is an earlier version's; or a number in it is not
            finite.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: train the run first (`a2inet train`)")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except (SafetensorError, TypeError, ValueError) as error:
        raise RunError(f"{path} is damaged or incomplete ({error}): train again") from error

    # The content is what was written.
    if _CHECKSUM not in metadata or _RANGES not in tensors:
        raise RunError(f"{path} has no checksum, so an earlier version wrote it: train it again")
    if metadata[_CHECKSUM] != files.sha256_of_arrays(tensors):
        raise RunError(
            f"{path} was changed or damaged after training (its checksum differs): restore the file, or "
            "train it again"
        )

    # What was written can be scored with.
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise RunError(f"{path}: {name} holds NaN or infinite values: train it again")
    ranges = tensors.pop(_RANGES)
    if ranges.ndim != 2 or ranges.shape[1] != 2 or not (ranges[:, 0] < ranges[:, 1]).all():
        raise RunError(
            f"{path}: {_RANGES} is not a lowest and a highest label of each member: train it again"
        )
    return Ensemble(traverse_util.unflatten_dict(tensors, sep="/"), ranges)
