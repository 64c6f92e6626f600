"""From a published checkpoint to parameters of our networks, with batch norm folded into convolutions."""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from flax.traverse_util import flatten_dict, unflatten_dict

Params = dict[str, Any]  # nested, as Linen keeps parameters

_NORM = ("weight", "bias", "running_mean", "running_var")
_FORMAT = "a2inet-jax folded 1"


class ConversionError(ValueError):
    """A checkpoint doesn't fit a network; the message lists every tensor that is wrong."""


@dataclass(frozen=True)
class Published:
    """How published checkpoints of a network are laid out.

    Attributes:
      names: from a layer's path among our parameters to the names of its convolution and its batch norm.
      epsilon: of the batch norms.
      prefix: what stands before each of these names.
      ignored: patterns (`*` for anything) of the tensors that the features don't need.
    """

    names: Callable[[Sequence[str]], tuple[str, str]]
    epsilon: float
    prefix: str = ""
    ignored: tuple[str, ...] = ()


def convert(
    tensors: Mapping[str, np.ndarray], shapes: Mapping[str, Any], published: Published
) -> Params:
    """Folded parameters from a published checkpoint.

    With batch norm y = (x − μ) / √(σ² + ε) · γ + β after a convolution without bias, the folded kernel is
    k · γ / √(σ² + ε) and the bias β − μ · γ / √(σ² + ε); computed in float64.

    Args:
      tensors: by published name; every one must be used or match an ignored pattern.
      shapes: our parameters, as anything with a `.shape`.
      published: the layout.

    Returns:
      Parameters, float32; kernels are [height, width, in, out].

    Raises:
      ConversionError: tensors are missing, unexpected or of another shape; all are listed.
    """
    expected: dict[str, tuple[int, ...]] = {}
    layers: dict[tuple[str, ...], tuple[str, str]] = {}
    for path, leaf in flatten_dict(dict(shapes)).items():
        if path[-1] != "kernel":
            continue
        conv, norm = (published.prefix + name for name in published.names(path[:-1]))
        layers[path[:-1]] = conv, norm
        height, width, inputs, outputs = leaf.shape
        expected[f"{conv}.weight"] = (outputs, inputs, height, width)
        expected |= {f"{norm}.{name}": (outputs,) for name in _NORM}
    unknown = [
        name
        for name in tensors.keys() - expected.keys()
        if not any(fnmatchcase(name, pattern) for pattern in published.ignored)
    ]
    _check({name: array.shape for name, array in tensors.items()}, expected, unknown)

    params = {}
    for layer, (conv, norm) in layers.items():
        kernel = tensors[f"{conv}.weight"].astype(np.float64)
        gamma, beta, mean, variance = (
            tensors[f"{norm}.{name}"].astype(np.float64) for name in _NORM
        )
        scale = gamma / np.sqrt(variance + published.epsilon)
        folded = kernel.transpose(2, 3, 1, 0) * scale
        params[(*layer, "kernel")] = np.ascontiguousarray(folded, np.float32)
        params[(*layer, "bias")] = (beta - mean * scale).astype(np.float32)
    return unflatten_dict(params)


def save(path: Path, params: Params, metadata: Mapping[str, str]) -> None:
    """Write folded parameters as safetensors, whole or not at all.

    Args:
      path: of the file.
      params: nested, float32.
      metadata: where they come from; `source_sha256` is their identity.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = safetensors.numpy.save(flatten_dict(params, sep="/"), {**metadata, "format": _FORMAT})
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def is_folded(metadata: Mapping[str, str]) -> bool:
    """Whether a file with this metadata was written by `save`."""
    return metadata.get("format") == _FORMAT


def restore(tensors: Mapping[str, np.ndarray], shapes: Mapping[str, Any]) -> Params:
    """Nested parameters from the tensors of a file that `save` wrote.

    Raises:
      ConversionError: they are another network's.
    """
    expected = {name: leaf.shape for name, leaf in flatten_dict(dict(shapes), sep="/").items()}
    found = {name: array.shape for name, array in tensors.items()}
    _check(found, expected, sorted(found.keys() - expected.keys()))
    return unflatten_dict(dict(tensors), sep="/")


def _check(
    found: Mapping[str, tuple[int, ...]],
    expected: Mapping[str, tuple[int, ...]],
    unknown: Sequence[str],
) -> None:
    problems = [f"missing: {name}" for name in sorted(expected.keys() - found.keys())]
    problems += [f"unexpected: {name}" for name in sorted(unknown)]
    problems += [
        f"{name} has shape {found[name]}, expected {shape}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    if problems:
        raise ConversionError("the checkpoint is another network's:\n  " + "\n  ".join(problems))
