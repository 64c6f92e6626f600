"""The names that pickles of checkpoints may use, and the stubs that replace them.

A pickle can call only the functions of this file, and none of them copies data that a pickle could refer to
over and over again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import ml_dtypes
import numpy as np

from a2inet_jax.errors import CheckpointError

MAX_AXES = 32
_Kind = TypeVar("_Kind")


class Storage(NamedTuple):
    """Numbers that PyTorch keeps outside the pickle, `length` of them."""

    key: str
    dtype: np.dtype
    length: int


class Tensor(NamedTuple):
    """A strided view of a storage; offset and strides are in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(eq=False)
class Array:
    """A NumPy array; its values are None until the pickle sets them."""

    values: np.ndarray | None = None


@dataclass(eq=False)
class Dtype:
    """NumPy's name of a dtype, and its byte order."""

    name: str
    order: str = "="


class Ignored:
    """Stub of a value that is not needed."""


class ArrayType:
    """Stub of `numpy.ndarray`."""


def _ignore(*_: object) -> Ignored:
    return Ignored()


def _ordered_dict(pairs: object = ()) -> dict[object, object]:
    items: dict[object, object] = {}
    if pairs:  # Python 2 passes them; Python 3 sets them later
        listed = expect_type(pairs, list)
        for name, value in listed:
            set_items(items, [name, value])
        # A pickle could otherwise make many dicts of one list.
        listed.clear()
    return items


def _size(sides: object) -> tuple:
    return expect_type(sides, tuple)


def _rebuild_tensor(
    storage: object, offset: object, shape: object, strides: object, *_: object
) -> Tensor:
    sides, steps = (
        tuple(expect_type(n, int) for n in expect_type(numbers, tuple)[: MAX_AXES + 1])
        for numbers in (shape, strides)
    )
    return Tensor(expect_type(storage, Storage), expect_type(offset, int), sides, steps)


def _rebuild_parameter(data: object, *_: object) -> Tensor:
    return expect_type(data, Tensor)


def _reconstruct(kind: object, *_: object) -> Array:
    if not isinstance(kind, ArrayType):
        raise refused("an array of a class of its own")
    return Array()


def _dtype(name: object, *_: object) -> Dtype:
    return Dtype(expect_type(name, str))


def _encode(text: object, encoding: object) -> str:
    """Accept bytes that Python 3 wrote for Python 2, as the text that stands for them."""
    if expect_type(encoding, str) not in ("latin1", "latin-1"):
        raise refused(f"_codecs.encode to {encoding!r:.80}")
    return expect_type(text, str)


# Every name that a pickle may use. NumPy scalars, such as losses, occur beside the weights.
_STUBS: dict[str, Callable | np.dtype | ArrayType] = {
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


def resolve(name: str) -> object:
    """Return the stub of a name.

    Raises:
        CheckpointError: The name is not allowed.
    """
    if name not in _STUBS:
        raise refused(name)
    return _STUBS[name]


def refused(what: str) -> CheckpointError:
    """Return the error for a pickle that asks for something forbidden."""
    return CheckpointError(
        f"refused: its pickle asks for `{what}`, which a plain state dict doesn't need; nothing was run"
    )


def set_items(target: object, values: list[Any]) -> None:
    """Put alternating names and values into a dict."""
    for name, value in zip(values[::2], values[1::2], strict=True):
        # Nested tuples could be too deep to be hashed.
        if not isinstance(name, str | int | float | None):
            raise CheckpointError(f"holds a dict with a {type(name).__name__} as a key")
        expect_type(target, dict)[name] = value


def expect_type(value: object, kind: type[_Kind]) -> _Kind:
    """Return the value; raise TypeError if it is not of the type."""
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} in place of {kind.__name__}")
    return value
