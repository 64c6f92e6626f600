"""Unpickler of tensors that runs no code from the file.

A pickle is a program for a small stack machine, and Python's own lets it call any function of any installed
package. This machine knows only the instructions that tensors need and the names in `stubs`, and refuses
everything else by name. Memory stays within a multiple of the file's size: nothing is allocated because a
pickle merely claims it (a length, a shape, a memo index).
"""

import io
import math
import pickletools
from types import FunctionType
from typing import Any

import numpy as np

from a2inet_jax.backbones.stubs import (
    MAX_AXES,
    Array,
    Dtype,
    Ignored,
    Storage,
    expect_type,
    refused,
    resolve,
    set_items,
)
from a2inet_jax.errors import CheckpointError

_MAX_INSTRUCTIONS = 5_000_000  # a network has some ten thousand
_INTEGERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4")
_FLOATS = ("FLOAT", "BINFLOAT")
# Python 2's strings, which may be bytes.
_STRINGS = ("STRING", "BINSTRING", "SHORT_BINSTRING")
_UNICODES = ("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8")
_BYTES = ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8")
_VALUES = frozenset((*_INTEGERS, *_FLOATS, *_STRINGS, *_UNICODES, *_BYTES))
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_NUMBER_DTYPES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")


class _Mark:
    """A mark on the stack, above which the arguments of an instruction begin."""


_MARK = _Mark()


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
                    set_items(stack[-1], values)
                case "APPEND":
                    value = stack.pop()
                    expect_type(stack[-1], list).append(value)
                case "APPENDS":
                    values = _pop_arguments(stack)
                    expect_type(stack[-1], list).extend(values)
                case "SETITEM":
                    values, stack[-2:] = stack[-2:], []
                    set_items(stack[-1], values)
                case "SETITEMS":
                    values = _pop_arguments(stack)
                    set_items(stack[-1], values)
                # The memo.
                case "MEMOIZE":
                    memo[len(memo)] = stack[-1]
                case "PUT" | "BINPUT" | "LONG_BINPUT":
                    memo[argument] = stack[-1]
                case "GET" | "BINGET" | "LONG_BINGET":
                    stack.append(memo[argument])
                # Names and calls, which only stubs answer.
                case "GLOBAL":
                    stack.append(resolve(argument.replace(" ", ".")))
                case "STACK_GLOBAL":
                    name, module = stack.pop(), stack.pop()
                    stack.append(resolve(f"{expect_type(module, str)}.{expect_type(name, str)}"))
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
                    resolve(argument.replace(" ", "."))
                    raise refused("INST")
                case other:
                    raise refused(other if argument is None else f"{other} {argument!r:.80}")
        raise EOFError("it has no end")

    def _build(self, target: object, state: Any) -> None:
        """Set the state of an object that a call has made."""
        match target:
            case Array():
                target.values = self._array_values(*state[1:])
            case Dtype():
                _, order, *fields = state[:5]
                if fields != [None] * 3:
                    raise CheckpointError("refused: its pickle asks for an array of records")
                if expect_type(order, str) not in ("<", ">", "|", "="):
                    raise refused(f"dtype {order!r:.80}")
                target.order = order
            # PyTorch notes more beside a state dict, which is not needed.
            case dict() | Ignored():
                pass
            case _:
                raise refused("BUILD")

    def _array_values(self, shape: Any, dtype: Any, fortran: bool, raw: Any) -> np.ndarray:
        """Return the values of an array from its raw bytes, or from the text that stands for them."""
        if expect_type(dtype, Dtype).name not in _NUMBER_DTYPES:
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
        if len(sides) > MAX_AXES or min(sides, default=0) < 0:
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
