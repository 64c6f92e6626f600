"""What the pickles of checkpoints may name, and what stands for it here.

Nothing outside of this file is ever called for a pickle, and nothing here copies what a pickle can name over
and over again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import ml_dtypes
import numpy as np

from a2inet_jax.errors import CheckpointError

MOST_AXES = 32
_Kind = TypeVar("_Kind")


class Storage(NamedTuple):
    """A run of numbers that PyTorch keeps outside the pickle; `length` counts them."""

    key: str
    dtype: np.dtype
    length: int


class Tensor(NamedTuple):
    """A strided view of a storage; offset and strides count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(eq=False)
class Array:
    """A NumPy array, its values None until the pickle gives them."""

    values: np.ndarray | None = None


@dataclass(eq=False)
class Dtype:
    """NumPy's name of a kind of numbers, and the order of their bytes."""

    name: str
    order: str = "="


class Ignored:
    """Stands for a value that isn't needed."""


class ArrayType:
    """Stands for `numpy.ndarray`."""


def _ignore(*_: object) -> Ignored:
    return Ignored()


def _ordered_dict(pairs: object = ()) -> dict[object, object]:
    found: dict[object, object] = {}
    if pairs:  # as Python 2 wrote them
        listed = of_type(pairs, list)
        for name, value in listed:
            set_items(found, [name, value])
        listed.clear()  # one list mustn't become many dicts
    return found


def _size(sides: object) -> tuple:
    return of_type(sides, tuple)


def _rebuild_tensor(
    storage: object, offset: object, shape: object, strides: object, *_: object
) -> Tensor:
    sides, steps = (
        tuple(of_type(n, int) for n in of_type(numbers, tuple)[: MOST_AXES + 1])
        for numbers in (shape, strides)
    )
    return Tensor(of_type(storage, Storage), of_type(offset, int), sides, steps)


def _rebuild_parameter(data: object, *_: object) -> Tensor:
    return of_type(data, Tensor)


def _reconstruct(kind: object, *_: object) -> Array:
    if not isinstance(kind, ArrayType):
        raise refusal("an array of a class of its own")
    return Array()


def _dtype(name: object, *_: object) -> Dtype:
    return Dtype(of_type(name, str))


def _encode(text: object, encoding: object) -> str:
    """Bytes that Python 3 wrote for Python 2; they become bytes where an array takes them."""
    if of_type(encoding, str) not in ("latin1", "latin-1"):
        raise refusal(f"_codecs.encode to {encoding!r:.80}")
    return of_type(text, str)


# Every name that a pickle may use. NumPy scalars (losses, correlations) occur beside the weights.
_NAMES: dict[str, Callable | np.dtype | ArrayType] = {
    "collections.OrderedDict": _ordered_dict,
    "torch.Size": _size,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch.DoubleStorage": np.dtype("<f8"),
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.HalfStorage": np.dtype("<f2"),
    "torch.BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "torch.LongStorage": np.dtype("<i8"),
    "torch.IntStorage": np.dtype("<i4"),
    "torch.ShortStorage": np.dtype("<i2"),
    "torch.CharStorage": np.dtype("i1"),
    "torch.ByteStorage": np.dtype("u1"),
    "torch.BoolStorage": np.dtype("?"),
    "numpy.ndarray": ArrayType(),
    "numpy.dtype": _dtype,
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy._core.multiarray._reconstruct": _reconstruct,
    "numpy.core.multiarray.scalar": _ignore,
    "numpy._core.multiarray.scalar": _ignore,
    "_codecs.encode": _encode,
}


def named(name: str) -> object:
    """What stands for a name; raises CheckpointError where nothing does."""
    if name not in _NAMES:
        raise refusal(name)
    return _NAMES[name]


def refusal(what: str) -> CheckpointError:
    """The error that says what a pickle asked for."""
    return CheckpointError(
        f"refused: its pickle asks for `{what}`, which a plain state dict doesn't need; nothing was run"
    )


def set_items(target: object, values: list[Any]) -> None:
    """Names and values in turn into a dict."""
    for name, value in zip(values[::2], values[1::2], strict=True):
        # Nested tuples could be too deep to hash.
        if not isinstance(name, str | int | float | None):
            raise CheckpointError(f"holds a dict with a {type(name).__name__} for a name")
        of_type(target, dict)[name] = value


def of_type(value: object, kind: type[_Kind]) -> _Kind:
    """The value itself; raises TypeError where it is of another type."""
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} where {kind.__name__} belongs")
    return value
