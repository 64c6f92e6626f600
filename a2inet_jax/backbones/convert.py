"""From a published checkpoint to parameters of our networks, with batch norm folded into convolutions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from flax.traverse_util import flatten_dict, unflatten_dict

from a2inet_jax import atomic
from a2inet_jax.errors import ConversionError

Params = dict[str, Any]  # nested, as Linen keeps parameters

_FORMAT = "a2inet-jax folded 1"


@dataclass(frozen=True)
class Folded:
    """Tensors of a convolution without bias and of the batch norm behind it: our `kernel` and `bias`.

    Attributes:
      weight: of the convolution.
      gamma: scale of the batch norm; None where it has none, which is 1.
      beta: its shift.
      mean: its running mean.
      variance: its running variance.
    """

    weight: str
    gamma: str | None
    beta: str
    mean: str
    variance: str


@dataclass(frozen=True)
class Plain:
    """Tensors of a layer that stays as it is: our `kernel` or `scale`, and `bias` where it has one."""

    weight: str
    bias: str | None


Source = Folded | Plain | str


def torch_folded(conv: str, norm: str) -> Folded:
    """A convolution and its batch norm, by the names of the two modules in PyTorch."""
    rest = ("weight", "bias", "running_mean", "running_var")
    return Folded(f"{conv}.weight", *(f"{norm}.{name}" for name in rest))


def torch_plain(name: str) -> Plain:
    """A layer with a bias, by the name of its module in PyTorch."""
    return Plain(f"{name}.weight", f"{name}.bias")


@dataclass(frozen=True)
class PublishedLayout:
    """How published checkpoints of a network are laid out.

    Attributes:
      source: from the path of a layer among our parameters (without kernel, scale, bias) to its tensors; from
        the whole path of any other parameter to the tensor that it is.
      epsilon: of the batch norms.
      prefix: what stands before each of these names.
      ignored: patterns (`*` for anything) of the tensors that the features don't need.
      channels_last: kernels are [..., in, out] as ours; PyTorch's are [out, in, ...].
    """

    source: Callable[[Sequence[str]], Source]
    epsilon: float = 0.0
    prefix: str = ""
    ignored: tuple[str, ...] = ()
    channels_last: bool = False


def convert(
    tensors: Mapping[str, np.ndarray], shapes: Mapping[str, Any], layouts: Sequence[PublishedLayout]
) -> Params:
    """Parameters from a published checkpoint, batch norm folded.

    With batch norm y = (x − μ) / √(σ² + ε) · γ + β after a convolution without bias, the folded kernel is
    k · γ / √(σ² + ε) and the bias β − μ · γ / √(σ² + ε); computed in float64.

    Args:
      tensors: by published name; every one must be used or match an ignored pattern.
      shapes: our parameters, as anything with a `.shape`.
      layouts: of the network's checkpoints; the one that knows most of the names is taken.

    Returns:
      Parameters, float32; kernels are [..., in, out].

    Raises:
      ConversionError: tensors are missing, unexpected or of another shape, not finite, or a variance is
        negative; all are listed.
    """
    ours = flatten_dict(dict(shapes))
    choices = [(layout, tensor_shapes(shapes, layout)) for layout in layouts]
    layout, expected = max(choices, key=lambda choice: len(choice[1].keys() & tensors.keys()))
    tensors = {name: _flat(array, expected.get(name)) for name, array in tensors.items()}
    unknown = [
        name
        for name in tensors.keys() - expected.keys()
        if not any(fnmatchcase(name, pattern) for pattern in layout.ignored)
    ]
    _check({name: array.shape for name, array in tensors.items()}, expected, unknown)

    sources = [source for _, source, _ in _layers(ours, layout)]
    variances = {layout.prefix + each.variance for each in sources if isinstance(each, Folded)}
    bad = [name for name in expected if not np.all(np.isfinite(tensors[name]))]
    bad += [name for name in variances if np.any(tensors[name] < 0)]
    if bad:
        raise ConversionError("the checkpoint has values that make no sense: " + ", ".join(bad))

    params: dict[tuple[str, ...], np.ndarray] = {}
    for path, source, leaves in _layers(ours, layout):
        found = {part: tensors[layout.prefix + name] for part, name in _parts(source).items()}
        if isinstance(source, str):
            params[path] = found["weight"]
            continue
        weight = found["weight"]
        if "kernel" in leaves and not layout.channels_last:
            weight = np.moveaxis(weight, (1, 0), (-2, -1))
        if isinstance(source, Folded):
            deviation = np.sqrt(found["variance"].astype(np.float64) + layout.epsilon)
            scale = found.get("gamma", 1.0) / deviation
            params[(*path, "kernel")] = weight * scale
            params[(*path, "bias")] = found["beta"] - found["mean"] * scale
        else:
            params[(*path, "kernel" if "kernel" in leaves else "scale")] = weight
            if source.bias:
                params[(*path, "bias")] = found["bias"]
    return unflatten_dict(
        {path: np.ascontiguousarray(array, np.float32) for path, array in params.items()}
    )


def _flat(array: np.ndarray, expected: tuple[int, ...] | None) -> np.ndarray:
    """A value a channel, which some keep as [1, …, 1, C]; other arrays as they are."""
    if expected is not None and len(expected) == 1 and array.shape[-1:] == (array.size,):
        return array.reshape(-1)
    return array


def _layers(
    ours: Mapping[tuple[str, ...], Any], layout: PublishedLayout
) -> Iterator[tuple[tuple[str, ...], Source, set[str]]]:
    """Each layer once, or each parameter that belongs to none: its path, tensors, and our leaves of it."""
    leaves: dict[tuple[str, ...], set[str]] = {}
    for path in ours:
        layer = path[:-1] if path[-1] in ("kernel", "scale", "bias") else path
        leaves.setdefault(layer, set()).add(path[-1])
    for path, names in leaves.items():
        yield path, layout.source(path), names


def _parts(source: Source) -> dict[str, str]:
    """What a tensor is → its name; without what the layer lacks."""
    if isinstance(source, str):
        return {"weight": source}
    return {part: name for part, name in vars(source).items() if name is not None}


def tensor_shapes(shapes: Mapping[str, Any], layout: PublishedLayout) -> dict[str, tuple[int, ...]]:
    """Name → shape of every tensor of a published checkpoint that our parameters need.

    Args:
      shapes: our parameters, as anything with a `.shape`.
      layout: of the checkpoint.
    """
    ours = flatten_dict(dict(shapes))
    expected = {}
    for path, source, leaves in _layers(ours, layout):
        for part, name in _parts(source).items():
            if isinstance(source, str):
                shape = ours[path].shape
            elif part == "weight" and "kernel" in leaves:
                shape = ours[(*path, "kernel")].shape
                if not layout.channels_last:
                    shape = (shape[-1], shape[-2], *shape[:-2])
            else:
                shape = ours[(*path, "bias" if "bias" in leaves else "scale")].shape
            expected[layout.prefix + name] = tuple(shape)
    return expected


def save(path: Path, params: Params, metadata: Mapping[str, str]) -> None:
    """Write folded parameters as safetensors, whole or not at all.

    Args:
      path: of the file.
      params: nested, float32.
      metadata: where they come from; `source_sha256` is their identity.
    """
    data = safetensors.numpy.save(flatten_dict(params, sep="/"), {**metadata, "format": _FORMAT})
    atomic.write(path, data)


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
