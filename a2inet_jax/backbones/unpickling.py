"""Unpickler of tensors that runs no code from the file.

A pickle is a program for a small stack machine, and Python's own lets it call any function of any installed
package. This machine knows only the instructions that tensors need and the names of `_STUBS`, and refuses
everything else by name. Memory stays within a multiple of the file's size: nothing is allocated because a
pickle merely claims it (a length, a shape, a memo index), and no stub copies data that a pickle could refer
to over and over again.

Python's own unpickler cannot be held to that by `find_class`, even after a scan of the instructions: it
sets attributes of whatever `find_class` returns, and hashes any key of a dict, for ever if tuples are nested.
"""

import io
import math
import pickletools
from dataclasses import dataclass
from types import FunctionType
from typing import Any, NamedTuple, TypeVar

import ml_dtypes
import numpy as np

from a2inet_jax.errors import CheckpointError

_MAX_INSTRUCTIONS = 5_000_000  # a network has some ten thousand
_MAX_AXES = 32
_VALUES = (
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING"),  # Python 2's, which may be bytes
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_NUMBER_DTYPES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
_MARK = object()  # on the stack; the arguments of an instruction begin above it
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
class _Dtype:
    """NumPy's name of a dtype, and its byte order."""

    name: str
    order: str = "="


class Unpickler:
    """Reader of pickles of dicts, lists, tuples, numbers, text, tensors and arrays.

    Attributes:
        storages: The storages that the pickles read so far refer to, by key.
    """

    def __init__(self, stream: io.BytesIO) -> None:
        self.storages: dict[str, Storage] = {}
        self._stream = stream
        self._unclaimed_bytes = len(stream.getbuffer())

    def load(self) -> Any:
        """Read the next pickle, leaving the stream after its end.

        NumPy's arrays come out as `Array`, PyTorch's tensors as `Tensor`.

        Raises:
            CheckpointError: The pickle asks for something forbidden.
            Exception: The pickle is broken; any type of exception may be raised.
        """
        stack: list[Any] = []
        memo: dict[int, Any] = {}
        argument: Any
        program = pickletools.genops(self._stream)
        for number, (instruction, argument, _) in enumerate(program):
            if number > _MAX_INSTRUCTIONS:
                raise CheckpointError("refused: its pickle is far too long for a state dict")
            match instruction.name:
                # The frame of the program.
                case "PROTO" | "FRAME":
                    pass
                case "STOP":
                    return stack.pop()
                # Values and empty containers.
                case name if name in _VALUES:
                    stack.append(argument)
                case name if name in _CONSTANTS:
                    stack.append(_CONSTANTS[name])
                case "EMPTY_DICT":
                    stack.append({})
                case "EMPTY_LIST":
                    stack.append([])
                # The stack itself.
                case "MARK":
                    stack.append(_MARK)
                case "POP":
                    stack.pop()
                case "POP_MARK":
                    _pop_arguments(stack)
                case "DUP":
                    stack.append(stack[-1])
                # Containers made and filled from the stack.
                case "TUPLE1" | "TUPLE2" | "TUPLE3":
                    length = int(instruction.name[-1])
                    stack[-length:] = [tuple(stack[-length:])]
                case "TUPLE":
                    stack.append(tuple(_pop_arguments(stack)))
                case "LIST":
                    stack.append(_pop_arguments(stack))
                case "DICT":
                    values = _pop_arguments(stack)
                    stack.append({})
                    _set_items(stack[-1], values)
                case "APPEND":
                    value = stack.pop()
                    expect_type(stack[-1], list).append(value)
                case "APPENDS":
                    values = _pop_arguments(stack)
                    expect_type(stack[-1], list).extend(values)
                case "SETITEM":
                    values, stack[-2:] = stack[-2:], []
                    _set_items(stack[-1], values)
                case "SETITEMS":
                    values = _pop_arguments(stack)
                    _set_items(stack[-1], values)
                # The memo.
                case "MEMOIZE":
                    memo[len(memo)] = stack[-1]
                case "PUT" | "BINPUT" | "LONG_BINPUT":
                    memo[argument] = stack[-1]
                case "GET" | "BINGET" | "LONG_BINGET":
                    stack.append(memo[argument])
                # Names and calls, which only stubs answer.
                case "GLOBAL":
                    stack.append(_stub(argument.replace(" ", ".")))
                case "STACK_GLOBAL":
                    name, module = stack.pop(), stack.pop()
                    stack.append(_stub(f"{expect_type(module, str)}.{expect_type(name, str)}"))
                case "REDUCE":
                    arguments, function = stack.pop(), stack.pop()
                    stack.append(
                        expect_type(function, FunctionType)(*expect_type(arguments, tuple))
                    )
                case "BUILD":
                    state = stack.pop()
                    self._build(stack[-1], state)
                case "BINPERSID":
                    stack.append(self._storage(*stack.pop()))
                case "INST":
                    _stub(argument.replace(" ", "."))
                    raise _refused("INST")
                case other:
                    raise _refused(other if argument is None else f"{other} {argument!r:.80}")
        raise EOFError("it has no end")

    def _build(self, target: object, state: Any) -> None:
        """Set the state of an object that a call has made."""
        match target:
            case Array():
                target.values = self._array_values(*state[1:])
            case _Dtype():
                _, order, *fields = state[:5]
                if fields != [None] * 3:
                    raise CheckpointError("refused: its pickle asks for an array of records")
                if expect_type(order, str) not in ("<", ">", "|", "="):
                    raise _refused(f"dtype {order!r:.80}")
                target.order = order
            # PyTorch notes more beside a state dict, which is not needed.
            case dict():
                pass
            case _:
                raise _refused("BUILD")

    def _array_values(self, shape: Any, dtype: Any, fortran: bool, raw: Any) -> np.ndarray:
        """Return the values of an array from its raw bytes, or from the text that stands for them."""
        if expect_type(dtype, _Dtype).name not in _NUMBER_DTYPES:
            raise CheckpointError(
                f"refused: it holds an array of {dtype.name!r:.80}, not of numbers"
            )
        if isinstance(raw, str):
            # Encoding copies the text, and a pickle may use one text many times.
            self._unclaimed_bytes -= len(raw)
            if self._unclaimed_bytes < 0:
                raise CheckpointError("refused: its arrays hold more than the file")
            raw = raw.encode("latin1")
        numbers = np.dtype(dtype.order + dtype.name)
        sides = [expect_type(side, int) for side in expect_type(shape, tuple)]
        if len(sides) > _MAX_AXES or min(sides, default=0) < 0:
            raise CheckpointError("holds an array of an impossible shape")
        if math.prod(sides) * numbers.itemsize != len(expect_type(raw, bytes)):
            raise CheckpointError("holds an array whose values don't fill its shape")
        return np.frombuffer(raw, numbers).reshape(sides, order="F" if fortran else "C")

    def _storage(
        self, kind: Any, dtype: Any, key: Any, _: object, length: Any, *view: object
    ) -> Storage:
        """Return the storage that a PyTorch tensor refers to."""
        if expect_type(kind, str) != "storage" or any(view):
            raise CheckpointError(f"holds a {kind!r:.80} that this reader doesn't know")
        storage = Storage(
            expect_type(key, str), expect_type(dtype, np.dtype), expect_type(length, int)
        )
        return self.storages.setdefault(storage.key, storage)


def _pop_arguments(stack: list[Any]) -> list[Any]:
    """Pop everything above the last mark, and the mark."""
    mark = len(stack) - 1
    while stack[mark] is not _MARK:
        mark -= 1
        if mark < 0:
            raise IndexError("no mark")
    arguments = stack[mark + 1 :]
    del stack[mark:]
    return arguments


def expect_type(value: object, kind: type[_Kind]) -> _Kind:
    """Return the value; raise TypeError if it is not of the type."""
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} in place of {kind.__name__}")
    return value


def _set_items(target: object, items: list[Any]) -> None:
    """Put alternating names and values into a dict."""
    for name, value in zip(items[::2], items[1::2], strict=True):
        # Nested tuples could be too deep to be hashed.
        if not isinstance(name, str | int | float | None):
            raise CheckpointError(f"holds a dict with a {type(name).__name__} as a key")
        expect_type(target, dict)[name] = value


def _ordered_dict(pairs: object = ()) -> dict[object, object]:
    items: dict[object, object] = {}
    if pairs:  # Python 2 passes them; Python 3 sets them later
        listed = expect_type(pairs, list)
        for name, value in listed:
            _set_items(items, [name, value])
        # A pickle could otherwise make many dicts of one list.
        listed.clear()
    return items


def _rebuild_tensor(
    storage: object, offset: object, shape: object, strides: object, *_: object
) -> Tensor:
    sides, steps = (
        tuple(expect_type(n, int) for n in expect_type(numbers, tuple)[: _MAX_AXES + 1])
        for numbers in (shape, strides)
    )
    return Tensor(expect_type(storage, Storage), expect_type(offset, int), sides, steps)


def _reconstruct(kind: object, *_: object) -> Array:
    if kind is not Array:
        raise _refused("an array of a class of its own")
    return Array()


def _encode(text: object, encoding: object) -> str:
    """Accept bytes that Python 3 wrote for Python 2, as the text that stands for them."""
    if expect_type(encoding, str) not in ("latin1", "latin-1"):
        raise _refused(f"_codecs.encode to {encoding!r:.80}")
    return expect_type(text, str)


# Every name that a pickle may use, and its stand-in. Only functions can be called.
_STUBS: dict[str, Any] = {
    "collections.OrderedDict": _ordered_dict,
    "torch.Size": lambda sides: expect_type(sides, tuple),
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": lambda data, *_: expect_type(data, Tensor),
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
    "numpy.ndarray": Array,
    "numpy.dtype": lambda name, *_: _Dtype(expect_type(name, str)),
    "_codecs.encode": _encode,
}
# Scalars, such as losses, occur beside the weights and are left out.
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    _STUBS |= {f"{_module}._reconstruct": _reconstruct, f"{_module}.scalar": lambda *_: None}


def _stub(name: str) -> Any:
    """Return the stub of a name.

    Raises:
        CheckpointError: The name is not allowed.
    """
    if name not in _STUBS:
        raise _refused(name)
    return _STUBS[name]


def _refused(what: str) -> CheckpointError:
    """Return the error for a pickle that asks for something forbidden."""
    return CheckpointError(
        f"refused: its pickle asks for `{what}`, which a plain state dict doesn't need; nothing was run"
    )
