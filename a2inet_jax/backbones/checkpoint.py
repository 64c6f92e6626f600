"""Published checkpoints, read without PyTorch and without running what a pickle asks for.

Three formats: safetensors, PyTorch's zip archives (since 1.6) and its older plain pickles. A pickle may name
any function of any installed package to be called; here it gets the few of `_ALLOWED`, which only describe
tensors, and everything else is refused by name before anything runs.
"""

import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import ml_dtypes
import numpy as np
import safetensors

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_WRAPPERS = ("state_dict", "model_state", "params")
_DTYPES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}

_SAFETENSORS_DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}


class CheckpointError(ValueError):
    """A file that is no readable checkpoint; the message names it and says why."""


def read(path: Path) -> dict[str, np.ndarray]:
    """Tensors of a checkpoint by name.

    A state dict inside `state_dict`, `model_state` or `params` is unwrapped, and the `module.` that
    data-parallel training puts before every name is stripped. Numbers and optimiser state kept beside the
    state dict are left out.

    Args:
      path: a safetensors file, or what `torch.save` wrote.

    Returns:
      Read-only arrays, in the file's order.

    Raises:
      FileNotFoundError: there is no such file.
      CheckpointError: another format, a broken file, or a pickle that asks for something forbidden.
    """
    with path.open("rb") as file:
        head = file.read(16)
        file.seek(0)
        try:
            if head.startswith(b"PK\x03\x04"):
                loaded = _read_zip(file)
            elif head.startswith(b"\x80\x02"):
                loaded = _read_legacy(file)
            elif head[8:9] == b"{":
                loaded = _read_safetensors(file)
            else:
                raise CheckpointError("neither safetensors nor written by torch.save")
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from None
        except Exception as error:  # whatever a broken pickle or archive makes the readers raise
            reason = f"{type(error).__name__}: {error}"
            raise CheckpointError(
                f"{path}: broken or cut short ({reason}); download it again"
            ) from error
    if not loaded:
        raise CheckpointError(f"{path}: holds no tensors by name")
    if all(name.startswith("module.") for name in loaded):
        loaded = {name.removeprefix("module."): array for name, array in loaded.items()}
    return loaded


def read_metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself; empty for other formats."""
    try:
        with safetensors.safe_open(path, "numpy") as file:
            return dict(file.metadata() or {})
    except safetensors.SafetensorError:
        return {}


class _Storage(NamedTuple):
    """A run of numbers in the file."""

    key: str
    dtype: np.dtype
    length: int


class _Tensor(NamedTuple):
    """A strided view of a storage; offset and strides count elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Ignored:
    """Stands for a value that isn't needed."""

    def __setstate__(self, state: object) -> None:
        pass


def _ignore(*_: object) -> _Ignored:
    return _Ignored()


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(data: _Tensor, *_: object) -> _Tensor:
    return data


# Everything that a pickle may call. NumPy scalars (losses, correlations) occur beside the weights.
_ALLOWED: Mapping[str, object] = {
    "collections.OrderedDict": OrderedDict,
    "torch.Size": tuple,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "numpy.core.multiarray.scalar": _ignore,
    "numpy._core.multiarray.scalar": _ignore,
    "numpy.dtype": _ignore,
    "_codecs.encode": _ignore,
    **{f"torch.{name}": name for name in _DTYPES},
}


class _Unpickler(pickle.Unpickler):
    """Gives a pickle what `_ALLOWED` lists, and keeps what it says of storages."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding="latin1")
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a global; raises CheckpointError for any that isn't listed."""
        full = f"{module}.{name}"
        if full not in _ALLOWED:
            raise CheckpointError(
                f"refused: its pickle asks for `{full}`, which a plain state dict doesn't need; "
                "nothing was run"
            )
        return _ALLOWED[full]

    def persistent_load(self, pid: Any) -> _Storage:
        """The storage that a tensor of the pickle points at."""
        kind, storage_type, key, _, length, *view = pid
        if kind != "storage" or any(view):
            raise CheckpointError(f"holds a {kind} that this reader doesn't know")
        return self.storages.setdefault(key, _Storage(key, _DTYPES[storage_type], int(length)))


def _read_safetensors(file: IO[bytes]) -> dict[str, np.ndarray]:
    """As safetensors.numpy does, and bfloat16 too."""
    return {
        name: np.frombuffer(view["data"], _SAFETENSORS_DTYPES[view["dtype"]]).reshape(view["shape"])
        for name, view in safetensors.deserialize(file.read())
    }


def _read_zip(file: IO[bytes]) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        members = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in members if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise CheckpointError("a zip archive, but none that torch.save wrote")
        folder = pickles[0].removesuffix("data.pkl")
        if any(info.compress_type != zipfile.ZIP_STORED for info in members.values()):
            raise CheckpointError("a compressed archive, which torch.save never writes")
        if f"{folder}byteorder" in members and archive.read(f"{folder}byteorder") != b"little":
            raise CheckpointError("written on a big-endian machine")
        with archive.open(pickles[0]) as stream:
            tensors = _state_dict(_Unpickler(stream).load())
        return _views(tensors, lambda storage: archive.read(f"{folder}data/{storage.key}"))


def _read_legacy(file: IO[bytes]) -> dict[str, np.ndarray]:
    if _Unpickler(file).load() != _LEGACY_MAGIC:
        raise CheckpointError("a pickle, but none that torch.save wrote")
    if _Unpickler(file).load() != _LEGACY_PROTOCOL:
        raise CheckpointError("an unknown version of torch.save's format")
    if not _Unpickler(file).load()["little_endian"]:
        raise CheckpointError("written on a big-endian machine")
    unpickler = _Unpickler(file)
    tensors = _state_dict(unpickler.load())
    raw: dict[str, bytes] = {}
    for key in _Unpickler(file).load():
        storage = unpickler.storages[key]
        length = int.from_bytes(file.read(8), "little")
        size = length * storage.dtype.itemsize
        if length != storage.length or size > os.fstat(file.fileno()).st_size - file.tell():
            raise CheckpointError(f"storage {key} is cut short; download it again")
        raw[key] = file.read(size)
    return _views(tensors, lambda storage: raw[storage.key])


def _state_dict(loaded: Any) -> dict[str, _Tensor]:
    for wrapper in _WRAPPERS:
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
            loaded = loaded[wrapper]
    if not isinstance(loaded, dict):
        raise CheckpointError(f"holds a {type(loaded).__name__}, no state dict")
    return {str(name): value for name, value in loaded.items() if isinstance(value, _Tensor)}


def _views(
    tensors: Mapping[str, _Tensor], load: Callable[[_Storage], bytes]
) -> dict[str, np.ndarray]:
    """Arrays for the tensors; each storage is loaded once, tensors may share it."""
    storages = {tensor.storage for tensor in tensors.values()}
    flat = {storage: np.frombuffer(load(storage), storage.dtype) for storage in storages}
    return {name: _view(name, flat[tensor.storage], tensor) for name, tensor in tensors.items()}


def _view(name: str, flat: np.ndarray, tensor: _Tensor) -> np.ndarray:
    _, offset, shape, strides = tensor
    if len(shape) != len(strides) or min((offset, *shape, *strides)) < 0:
        raise CheckpointError(f"tensor {name} has a shape that makes no sense")
    if 0 in shape:
        return np.empty(shape, flat.dtype)
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides))
    if last >= flat.size or flat.size != tensor.storage.length:
        raise CheckpointError(f"tensor {name} reaches beyond its storage")
    byte_strides = tuple(stride * flat.itemsize for stride in strides)
    return np.lib.stride_tricks.as_strided(flat[offset:], shape, byte_strides, writeable=False)
