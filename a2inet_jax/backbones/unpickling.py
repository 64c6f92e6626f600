"""Pickles of tensors, read and never run.

A pickle is a program for a small stack machine, and Python's own lets it call any function of any installed
package. This machine knows the instructions that tensors need, and the names in `stand_ins`; whatever else a
pickle asks for is refused by name. Memory stays within a multiple of the file's size: what a pickle only
claims (a length, a shape, a place in the memo) is never allocated.
"""

import io
import math
import pickletools
from types import FunctionType
from typing import Any

import numpy as np

from a2inet_jax.backbones.stubs import (
    MOST_AXES,
    Array,
    Dtype,
    Ignored,
    Storage,
    named,
    of_type,
    refusal,
    set_items,
)
from a2inet_jax.errors import CheckpointError

_MOST_INSTRUCTIONS = 5_000_000  # a network has some ten thousand
_INTEGERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4")
_FLOATS = ("FLOAT", "BINFLOAT")
_TEXTS = ("STRING", "BINSTRING", "SHORT_BINSTRING")  # of Python 2, where they may be bytes
_UNICODES = ("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8")
_BYTES = ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8")
_VALUES = frozenset((*_INTEGERS, *_FLOATS, *_TEXTS, *_UNICODES, *_BYTES))
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")


class _Mark:
    """Where the arguments of an instruction begin on the stack."""


_MARK = _Mark()


class Unpickler:
    """Reads pickles of dicts, lists, tuples, numbers, text, tensors and arrays.

    Attributes:
      storages: by key, those that the pickles read so far point at.
    """

    def __init__(self, stream: io.BytesIO) -> None:
        self.storages: dict[str, Storage] = {}
        self._stream = stream
        self._unclaimed = len(stream.getbuffer())

    def load(self) -> Any:
        """What the next pickle of the stream holds; the stream stands behind it then.

        Arrays are `Array`, PyTorch's tensors `Tensor`.

        Raises:
          CheckpointError: it asks for something that isn't needed.
          Exception: of many kinds, where it is broken.
        """
        stack: list[Any] = []
        memo: dict[int, Any] = {}
        argument: Any
        program = pickletools.genops(self._stream)
        for number, (instruction, argument, _) in enumerate(program):
            if number > _MOST_INSTRUCTIONS:
                raise CheckpointError("refused: its pickle is far too long for a state dict")
            match instruction.name:
                case "PROTO" | "FRAME":
                    pass
                case "STOP":
                    return stack.pop()
                case name if name in _VALUES:
                    stack.append(argument)
                case name if name in _CONSTANTS:
                    stack.append(_CONSTANTS[name])
                case "EMPTY_DICT":
                    stack.append({})
                case "EMPTY_LIST":
                    stack.append([])
                case "MARK":
                    stack.append(_MARK)
                case "POP":
                    stack.pop()
                case "POP_MARK":
                    _arguments(stack)
                case "DUP":
                    stack.append(stack[-1])
                case "TUPLE1" | "TUPLE2" | "TUPLE3":
                    length = int(instruction.name[-1])
                    stack[-length:] = [tuple(stack[-length:])]
                case "TUPLE":
                    stack.append(tuple(_arguments(stack)))
                case "LIST":
                    stack.append(_arguments(stack))
                case "DICT":
                    values = _arguments(stack)
                    stack.append({})
                    set_items(stack[-1], values)
                case "APPEND":
                    value = stack.pop()
                    of_type(stack[-1], list).append(value)
                case "APPENDS":
                    values = _arguments(stack)
                    of_type(stack[-1], list).extend(values)
                case "SETITEM":
                    values, stack[-2:] = stack[-2:], []
                    set_items(stack[-1], values)
                case "SETITEMS":
                    values = _arguments(stack)
                    set_items(stack[-1], values)
                case "MEMOIZE":
                    memo[len(memo)] = stack[-1]
                case "PUT" | "BINPUT" | "LONG_BINPUT":
                    memo[argument] = stack[-1]
                case "GET" | "BINGET" | "LONG_BINGET":
                    stack.append(memo[argument])
                case "GLOBAL":
                    stack.append(named(argument.replace(" ", ".")))
                case "STACK_GLOBAL":
                    name, module = stack.pop(), stack.pop()
                    stack.append(named(f"{of_type(module, str)}.{of_type(name, str)}"))
                case "REDUCE":
                    arguments, function = stack.pop(), stack.pop()
                    stack.append(of_type(function, FunctionType)(*of_type(arguments, tuple)))
                case "BUILD":
                    state = stack.pop()
                    self._build(stack[-1], state)
                case "BINPERSID":
                    stack.append(self._storage(*stack.pop()))
                case "INST":
                    named(argument.replace(" ", "."))
                    raise refusal("INST")
                case other:
                    raise refusal(other if argument is None else f"{other} {argument!r:.80}")
        raise EOFError("no end")

    def _build(self, target: object, state: Any) -> None:
        """Finish what was made by a call."""
        match target:
            case Array():
                target.values = self._values(*state[1:])
            case Dtype():
                _, order, *fields = state[:5]
                if fields != [None] * 3:
                    raise CheckpointError("refused: its pickle asks for an array of records")
                if of_type(order, str) not in ("<", ">", "|", "="):
                    raise refusal(f"dtype {order!r:.80}")
                target.order = order
            case dict() | Ignored():  # what PyTorch notes beside a state dict
                pass
            case _:
                raise refusal("BUILD")

    def _values(self, shape: Any, dtype: Any, fortran: bool, raw: Any) -> np.ndarray:
        if of_type(dtype, Dtype).name not in _NUMBERS:
            raise CheckpointError(f"refused: it holds an array of {dtype.name!r:.80}, no numbers")
        if isinstance(raw, str):
            # The same text may be used again and again, and encoding copies it.
            self._unclaimed -= len(raw)
            if self._unclaimed < 0:
                raise CheckpointError("refused: its arrays hold more than the file")
            raw = raw.encode("latin1")
        numbers = np.dtype(dtype.order + dtype.name)
        sides = [of_type(side, int) for side in of_type(shape, tuple)]
        if len(sides) > MOST_AXES or min(sides, default=0) < 0:
            raise CheckpointError("holds an array of a shape that makes no sense")
        if math.prod(sides) * numbers.itemsize != len(of_type(raw, bytes)):
            raise CheckpointError("holds an array whose numbers don't fill its shape")
        return np.frombuffer(raw, numbers).reshape(sides, order="F" if fortran else "C")

    def _storage(
        self, kind: Any, dtype: Any, key: Any, _: object, length: Any, *view: object
    ) -> Storage:
        """What a tensor of PyTorch points at."""
        if of_type(kind, str) != "storage" or any(view):
            raise CheckpointError(f"holds a {kind!r:.80} that this reader doesn't know")
        found = Storage(of_type(key, str), of_type(dtype, np.dtype), of_type(length, int))
        return self.storages.setdefault(found.key, found)


def _arguments(stack: list[Any]) -> list[Any]:
    """Take everything above the last mark, and the mark."""
    mark = len(stack) - 1
    while stack[mark] is not _MARK:
        mark -= 1
        if mark < 0:
            raise IndexError("no mark")
    taken = stack[mark + 1 :]
    del stack[mark:]
    return taken
