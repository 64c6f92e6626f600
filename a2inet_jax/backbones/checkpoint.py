"""Published checkpoints, read without PyTorch and without running what a pickle asks for.

Five formats: safetensors, PyTorch's zip archives (since 1.6) and its older pickles, Caffe2's pickles of
Python 2, and pickles of nested dicts of NumPy arrays, as Flax networks are often kept.
"""

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import ml_dtypes
import numpy as np
import safetensors

from a2inet_jax.backbones.stubs import Array, Storage, Tensor, of_type
from a2inet_jax.backbones.unpickling import Unpickler
from a2inet_jax.errors import CheckpointError

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_WRAPPERS = ("state_dict", "model_state", "params", "blobs")
_DEEPEST = 32  # dicts in dicts
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
_Leaf = TypeVar("_Leaf", Array, Tensor)


def read(path: Path) -> dict[str, np.ndarray]:
    """Tensors of a checkpoint by name.

    A state dict inside `state_dict`, `model_state`, `params` or `blobs` is unwrapped, and the `module.` that
    data-parallel training puts before every name is stripped. In dicts of dicts, keys are joined by `/`.
    Whatever is kept beside the tensors is left out.

    Args:
      path: a safetensors file, what `torch.save` wrote, or a pickle of NumPy arrays.

    Returns:
      Read-only arrays, in the file's order; they share one copy of the file.

    Raises:
      FileNotFoundError: there is no such file.
      CheckpointError: another format, a broken file, or a pickle that asks for something forbidden.
    """
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder, no checkpoint")
    data = path.read_bytes()
    try:
        loaded = _tensors(data)
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


def _tensors(data: bytes) -> dict[str, np.ndarray]:
    if not data:
        raise CheckpointError("an empty file")
    # The length of safetensors' header comes first and may begin as any other format does.
    if data[4:9] == b"\0\0\0\0{":
        return _read_safetensors(data)
    if data.startswith(b"PK\x03\x04"):
        return _read_zip(data)
    if data[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        return _read_pickle(data)
    if data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise CheckpointError("an HTML page, saved in place of the file that was to be downloaded")
    raise CheckpointError("neither safetensors, nor written by torch.save, nor a pickle of arrays")


def _read_safetensors(data: bytes) -> dict[str, np.ndarray]:
    """As safetensors.numpy does, and bfloat16 too."""
    return {
        name: np.frombuffer(view["data"], _SAFETENSORS_DTYPES[view["dtype"]]).reshape(view["shape"])
        for name, view in safetensors.deserialize(data)
    }


def _read_zip(data: bytes) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename: info for info in archive.infolist()}
    pickles = [name for name in members if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise CheckpointError("a zip archive, but none that torch.save wrote")
    folder = pickles[0].removesuffix("data.pkl")
    if any(info.compress_type != zipfile.ZIP_STORED for info in members.values()):
        raise CheckpointError("a compressed archive, which torch.save never writes")
    if sum(info.file_size for info in members.values()) > len(data):
        raise CheckpointError("an archive that claims to hold more than it does")

    def content(name: str) -> memoryview:
        return _stored(data, members[f"{folder}{name}"])

    if f"{folder}byteorder" in members and content("byteorder") != b"little":
        raise CheckpointError("written on a big-endian machine")
    loaded = Unpickler(io.BytesIO(content("data.pkl"))).load()
    return _views(_leaves(loaded, Tensor), lambda storage: content(f"data/{storage.key}"))


def _stored(data: bytes, member: zipfile.ZipInfo) -> memoryview:
    """The bytes of an archive's member, where they lie."""
    name, extra = struct.unpack_from("<HH", data, member.header_offset + 26)
    start = member.header_offset + 30 + name + extra
    content = memoryview(data)[start : start + member.file_size]
    if zlib.crc32(content) != member.CRC:
        raise CheckpointError(f"{member.filename} in it is damaged; download it again")
    return content


def _read_pickle(data: bytes) -> dict[str, np.ndarray]:
    stream = io.BytesIO(data)
    unpickler = Unpickler(stream)
    loaded = unpickler.load()
    if loaded != _LEGACY_MAGIC:
        arrays = _leaves(loaded, Array).items()
        return {name: array.values for name, array in arrays if array.values is not None}
    if unpickler.load() != _LEGACY_PROTOCOL:
        raise CheckpointError("an unknown version of torch.save's format")
    if not unpickler.load()["little_endian"]:
        raise CheckpointError("written on a big-endian machine")
    tensors = _leaves(unpickler.load(), Tensor)
    raw: dict[str, memoryview] = {}
    for key in unpickler.load():
        storage = unpickler.storages[of_type(key, str)]
        length = int.from_bytes(stream.read(8), "little")
        start = stream.tell()
        end = start + length * storage.dtype.itemsize
        if length != storage.length or end > len(data):
            raise CheckpointError(f"storage {key} is cut short; download it again")
        raw[key] = memoryview(data)[start:end]
        stream.seek(end)
    return _views(tensors, lambda storage: raw[storage.key])


def _leaves(loaded: Any, kind: type[_Leaf]) -> dict[str, _Leaf]:
    """Tensors or arrays by name, out of what a pickle held."""
    for wrapper in _WRAPPERS:
        # Flax keeps its `params` beside `batch_stats`; both are needed.
        if isinstance(loaded, dict) and "batch_stats" not in loaded:
            inner = loaded.get(wrapper)
            loaded = inner if isinstance(inner, dict) else loaded
    if not isinstance(loaded, dict):
        raise CheckpointError(f"holds a {type(loaded).__name__}, no state dict")
    found: dict[str, _Leaf] = {}
    for name, leaf in _flat(loaded, kind, "", 1, set()):
        if name in found:
            raise CheckpointError(f"holds {name} twice")
        found[name] = leaf
    return found


def _flat(
    nested: Mapping[object, object], kind: type[_Leaf], prefix: str, depth: int, seen: set[int]
) -> Iterator[tuple[str, _Leaf]]:
    # A pickle may put a dict into itself, or the same one into many places many times over.
    if depth > _DEEPEST or id(nested) in seen:
        raise CheckpointError("its dicts are nested too deeply, or one is in two places")
    seen.add(id(nested))
    for name, value in nested.items():
        if isinstance(value, kind):
            yield f"{prefix}{name}", value
        elif isinstance(value, dict):
            yield from _flat(value, kind, f"{prefix}{name}/", depth + 1, seen)


def _views(
    tensors: Mapping[str, Tensor], load: Callable[[Storage], memoryview]
) -> dict[str, np.ndarray]:
    """Arrays for the tensors; tensors may share a storage."""
    storages = {tensor.storage for tensor in tensors.values()}
    flat = {storage: np.frombuffer(load(storage), storage.dtype) for storage in storages}
    return {name: _view(name, flat[tensor.storage], tensor) for name, tensor in tensors.items()}


def _view(name: str, flat: np.ndarray, tensor: Tensor) -> np.ndarray:
    _, offset, shape, strides = tensor
    if len(shape) != len(strides) or min((offset, *shape, *strides)) < 0:
        raise CheckpointError(f"tensor {name} has a shape that makes no sense")
    if 0 in shape:
        return np.empty(shape, flat.dtype)
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides))
    if last >= flat.size or flat.size != tensor.storage.length:
        raise CheckpointError(f"tensor {name} reaches beyond its storage")
    if math.prod(shape) > flat.size:  # a stride of 0 repeats numbers without end
        raise CheckpointError(f"tensor {name} is larger than its storage")
    byte_strides = tuple(stride * flat.itemsize for stride in strides)
    return np.lib.stride_tricks.as_strided(flat[offset:], shape, byte_strides, writeable=False)
