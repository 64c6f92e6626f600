"""Conversion of published checkpoints to our parameters, with batch norm folded into convolutions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from flax.traverse_util import flatten_dict, unflatten_dict

from a2inet_jax import files
from a2inet_jax.errors import ConversionError

Params = dict[str, Any]  # nested, as in Linen

_FORMAT = "a2inet-jax folded 1"


@dataclass(frozen=True)
class Folded:
    """Names of the tensors that make our `kernel` and `bias`: a convolution without bias, then a batch norm.

    `gamma` is None for a batch norm without scale; `mean` and `variance` are the running ones.
    """

    weight: str
    gamma: str | None
    beta: str
    mean: str
    variance: str


@dataclass(frozen=True)
class Plain:
    """Names of the tensors of a layer that stays as it is: our `kernel` or `scale`, and `bias` if any."""

    weight: str
    bias: str | None


TensorNames = Folded | Plain | str


def torch_folded(conv: str, norm: str) -> Folded:
    """Name the tensors of a convolution and its batch norm, given their two module names in PyTorch."""
    rest = ("weight", "bias", "running_mean", "running_var")
    return Folded(f"{conv}.weight", *(f"{norm}.{name}" for name in rest))


def torch_plain(name: str) -> Plain:
    """Name the tensors of a layer with a bias, given its module name in PyTorch."""
    return Plain(f"{name}.weight", f"{name}.bias")


@dataclass(frozen=True)
class PublishedLayout:
    """The layout of a network's published checkpoints.

    Attributes:
        names: Maps the path of a layer among our parameters (without `kernel`, `scale`, `bias`), or the whole
            path of a parameter outside layers, to the names of its tensors.
        epsilon: The batch norms' ε.
        prefix: A prefix of all these names.
        ignored: Patterns (`*` for anything) of the tensors that the features don't need.
        channels_last: True if kernels are [..., in, out] like ours; PyTorch's are [out, in, ...].
    """

    names: Callable[[Sequence[str]], TensorNames]
    epsilon: float = 0.0
    prefix: str = ""
    ignored: tuple[str, ...] = ()
    channels_last: bool = False


def convert(
    tensors: Mapping[str, np.ndarray], shapes: Mapping[str, Any], layouts: Sequence[PublishedLayout]
) -> Params:
    """Make parameters of a published checkpoint, batch norm folded.

    With batch norm y = (x − μ) / √(σ² + ε) · γ + β after a convolution without bias, the folded kernel is
    k · γ / √(σ² + ε) and the bias β − μ · γ / √(σ² + ε); computed in float64.

    Args:
        tensors: Tensors by published name; every one must be used or match an ignored pattern.
        shapes: Our parameters, or anything nested like them with a `.shape`.
        layouts: Layouts of the network's checkpoints; the one that knows most of the names is used.

    Returns:
        Parameters, float32; kernels are [..., in, out].

    Raises:
        ConversionError: Tensors are missing, unexpected, of another shape or not finite, or a variance is
            negative; the message lists all of them.
    """
    # The layout, and whether all tensors are there.
    ours = flatten_dict(dict(shapes))
    choices = [(layout, tensor_shapes(shapes, layout)) for layout in layouts]
    layout, expected = max(choices, key=lambda choice: len(choice[1].keys() & tensors.keys()))
    tensors = {name: _without_ones(array, expected.get(name)) for name, array in tensors.items()}
    unknown = [
        name
        for name in tensors.keys() - expected.keys()
        if not any(fnmatchcase(name, pattern) for pattern in layout.ignored)
    ]
    _check({name: array.shape for name, array in tensors.items()}, expected, unknown)

    # Values that no trained network has.
    layer_names = [names for _, names, _ in _layers(ours, layout)]
    variances = {layout.prefix + each.variance for each in layer_names if isinstance(each, Folded)}
    bad = not_finite({name: tensors[name] for name in expected})
    bad += [name for name in variances if np.any(tensors[name] < 0)]
    if bad:
        raise ConversionError(
            "the checkpoint has values that are not finite, or a negative variance: "
            + ", ".join(bad)
        )

    # Our kernels and biases.
    params: dict[tuple[str, ...], np.ndarray] = {}
    for path, names, leaves in _layers(ours, layout):
        by_role = {role: tensors[layout.prefix + name] for role, name in _roles(names).items()}
        weight = by_role["weight"]
        if isinstance(names, str):
            params[path] = weight
            continue
        if "kernel" in leaves and not layout.channels_last:
            weight = np.moveaxis(weight, (1, 0), (-2, -1))
        if isinstance(names, Folded):
            std = np.sqrt(by_role["variance"].astype(np.float64) + layout.epsilon)
            scale = by_role.get("gamma", 1.0) / std
            params[(*path, "kernel")] = weight * scale
            params[(*path, "bias")] = by_role["beta"] - by_role["mean"] * scale
        else:
            params[(*path, "kernel" if "kernel" in leaves else "scale")] = weight
            if names.bias:
                params[(*path, "bias")] = by_role["bias"]
    return unflatten_dict(
        {path: np.ascontiguousarray(array, np.float32) for path, array in params.items()}
    )


def _without_ones(array: np.ndarray, expected: tuple[int, ...] | None) -> np.ndarray:
    """Reshape [1, …, 1, C], as some keep values per channel, to the expected [C]; keep other shapes."""
    if expected is not None and len(expected) == 1 and array.shape[-1:] == (array.size,):
        return array.reshape(-1)
    return array


def _layers(
    ours: Mapping[tuple[str, ...], Any], layout: PublishedLayout
) -> Iterator[tuple[tuple[str, ...], TensorNames, set[str]]]:
    """Yield path, tensor names and our leaves of each layer, and of each parameter outside layers."""
    leaves: dict[tuple[str, ...], set[str]] = {}
    for path in ours:
        layer = path[:-1] if path[-1] in ("kernel", "scale", "bias") else path
        leaves.setdefault(layer, set()).add(path[-1])
    for path, own_leaves in leaves.items():
        yield path, layout.names(path), own_leaves


def _roles(names: TensorNames) -> dict[str, str]:
    """Return the tensor names that a layer has, by role (`weight`, `bias`, `gamma`, …)."""
    if isinstance(names, str):
        return {"weight": names}
    return {role: name for role, name in vars(names).items() if name is not None}


def tensor_shapes(shapes: Mapping[str, Any], layout: PublishedLayout) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the published tensors that parameters need, by name; `shapes` as in `convert`."""
    ours = flatten_dict(dict(shapes))
    expected = {}
    for path, names, leaves in _layers(ours, layout):
        for role, name in _roles(names).items():
            if isinstance(names, str):
                shape = ours[path].shape
            elif role == "weight" and "kernel" in leaves:
                shape = ours[(*path, "kernel")].shape
                if not layout.channels_last:
                    shape = (shape[-1], shape[-2], *shape[:-2])
            else:
                shape = ours[(*path, "bias" if "bias" in leaves else "scale")].shape
            expected[layout.prefix + name] = tuple(shape)
    return expected


def save(path: Path, params: Params, metadata: Mapping[str, str]) -> None:
    """Write folded parameters and the metadata of their origin as safetensors, whole or not at all.

    The metadata's `source_sha256` identifies the parameters.
    """
    data = safetensors.numpy.save(flatten_dict(params, sep="/"), {**metadata, "format": _FORMAT})
    files.write(path, data)


def is_folded(metadata: Mapping[str, str]) -> bool:
    """Return True if `save` wrote the file with this metadata."""
    return metadata.get("format") == _FORMAT


def restore(tensors: Mapping[str, np.ndarray], shapes: Mapping[str, Any]) -> Params:
    """Nest the tensors of a file that `save` wrote.

    Raises:
        ConversionError: The tensors are another network's, or not finite.
    """
    expected = {name: leaf.shape for name, leaf in flatten_dict(dict(shapes), sep="/").items()}
    found = {name: array.shape for name, array in tensors.items()}
    _check(found, expected, sorted(found.keys() - expected.keys()))
    if bad := not_finite(tensors):
        raise ConversionError(f"it has values that are not finite: {', '.join(bad)}")
    return unflatten_dict(dict(tensors), sep="/")


def not_finite(tensors: Mapping[str, np.ndarray]) -> list[str]:
    """Return the names of tensors with values that are NaN or infinite."""
    return [name for name, array in tensors.items() if not np.all(np.isfinite(array))]


def _check(
    found: Mapping[str, tuple[int, ...]],
    expected: Mapping[str, tuple[int, ...]],
    unknown: Sequence[str],
) -> None:
    """Raise ConversionError with all tensors that are missing, unknown or of another shape."""
    problems = [f"missing: {name}" for name in sorted(expected.keys() - found.keys())]
    problems += [f"unexpected: {name}" for name in sorted(unknown)]
    problems += [
        f"{name} has shape {found[name]}, expected {shape}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    if problems:
        raise ConversionError("the checkpoint is another network's:\n  " + "\n  ".join(problems))
