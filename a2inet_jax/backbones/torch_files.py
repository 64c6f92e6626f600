"""Reader of published checkpoints, without PyTorch and without running code from a pickle.

It knows five formats: safetensors, PyTorch's zip archives (since 1.6) and its older pickles, Caffe2's
Python 2 pickles, and pickles of nested dicts of NumPy arrays, in which Flax networks are often published.
"""

import io
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np
import safetensors

from a2inet_jax.backbones.unpickling import Array, Storage, Tensor, Unpickler, expect_type
from a2inet_jax.errors import CheckpointError

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_WRAPPERS = ("state_dict", "model_state", "params", "blobs")
_MAX_DEPTH = 32  # of nested dicts
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


def read(path: Path) -> dict[str, np.ndarray]:
    """Read the tensors of a checkpoint, by name.

    A state dict inside `state_dict`, `model_state`, `params` or `blobs` is unwrapped, and the `module.` that
    data-parallel training puts before every name is stripped. Keys of nested dicts are joined by `/`.
    Everything else in the file is left out.

    Args:
        path: A safetensors file, a file written by `torch.save`, or a pickle of NumPy arrays.

    Returns:
        Read-only arrays in the file's order; tensors that share a storage share its memory.

    Raises:
        FileNotFoundError: The file does not exist.
        CheckpointError: The format is unknown, the file broken, or its pickle asks for something forbidden.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: name the downloaded file")
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder, not a checkpoint")
    try:
        with path.open("rb") as file:
            arrays = _parse(file)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except Exception as error:  # a broken pickle or archive makes the readers raise anything
        reason = f"{type(error).__name__}: {error}"
        raise CheckpointError(
            f"{path}: broken or cut short ({reason}); download it again"
        ) from error
    if not arrays:
        raise CheckpointError(f"{path}: holds no named tensors")
    if all(name.startswith("module.") for name in arrays):
        arrays = {name.removeprefix("module."): array for name, array in arrays.items()}
    return arrays


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a safetensors file; empty for other formats."""
    try:
        with safetensors.safe_open(path, "numpy") as file:
            return dict(file.metadata() or {})
    except safetensors.SafetensorError:
        return {}


def _parse(file: BinaryIO) -> dict[str, np.ndarray]:
    """Read a file, in whichever format it begins as."""
    head = file.read(256)
    file.seek(0)
    if not head:
        raise CheckpointError("an empty file")
    # Safetensors begins with the length of its header, whose bytes may look like any other format.
    if head[4:9] == b"\0\0\0\0{":
        return _read_safetensors(file.read())
    if head.startswith(b"PK\x03\x04"):
        return _read_zip(file)
    if head[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        return _read_pickle(file.read())
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise CheckpointError("an HTML page, saved in place of the file to be downloaded")
    raise CheckpointError("neither safetensors, nor written by torch.save, nor a pickle of arrays")


def _read_safetensors(data: bytes) -> dict[str, np.ndarray]:
    """Do what `safetensors.numpy` does, also for bfloat16."""
    return {
        name: np.frombuffer(view["data"], _SAFETENSORS_DTYPES[view["dtype"]]).reshape(view["shape"])
        for name, view in safetensors.deserialize(data)
    }


def _read_zip(file: BinaryIO) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        # An archive that torch.save wrote, which takes no more memory than the file.
        members = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in members if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise CheckpointError("a zip archive, but not one that torch.save wrote")
        if any(info.compress_type != zipfile.ZIP_STORED for info in members.values()):
            raise CheckpointError("a compressed archive, which torch.save never writes")
        if sum(info.file_size for info in members.values()) > file.seek(0, io.SEEK_END):
            raise CheckpointError("an archive that claims to hold more than it does")
        folder = pickles[0].removesuffix("data.pkl")

        def content(name: str) -> bytes:
            try:
                return archive.read(f"{folder}{name}")
            except zipfile.BadZipFile:
                message = f"its {folder}{name} is damaged; download it again"
                raise CheckpointError(message) from None

        # Its tensors, then their storages.
        if f"{folder}byteorder" in members and content("byteorder") != b"little":
            raise CheckpointError("written on a big-endian machine")
        tensors = _named_leaves(Unpickler(io.BytesIO(content("data.pkl"))).load(), Tensor)
        return _tensor_arrays(tensors, lambda storage: content(f"data/{storage.key}"))


def _read_pickle(data: bytes) -> dict[str, np.ndarray]:
    stream = io.BytesIO(data)
    unpickler = Unpickler(stream)
    loaded = unpickler.load()
    # A pickle of NumPy arrays, Caffe2's or Flax's.
    if loaded != _LEGACY_MAGIC:
        arrays = _named_leaves(loaded, Array).items()
        return {name: array.values for name, array in arrays if array.values is not None}

    # PyTorch's older format: several pickles, then the content of each storage.
    if unpickler.load() != _LEGACY_PROTOCOL:
        raise CheckpointError("an unknown version of torch.save's format")
    if not unpickler.load()["little_endian"]:
        raise CheckpointError("written on a big-endian machine")
    tensors = _named_leaves(unpickler.load(), Tensor)
    contents: dict[str, memoryview] = {}
    for key in unpickler.load():
        storage = unpickler.storages[expect_type(key, str)]
        length = int.from_bytes(stream.read(8), "little")
        start = stream.tell()
        end = start + length * storage.dtype.itemsize
        if length != storage.length or end > len(data):
            raise CheckpointError(f"storage {key} is cut short; download it again")
        contents[key] = memoryview(data)[start:end]
        stream.seek(end)
    return _tensor_arrays(tensors, lambda storage: contents[storage.key])


def _named_leaves(loaded: Any, kind: type) -> dict[str, Any]:
    """Return the leaves of one kind in an unpickled object, by name."""
    for wrapper in _WRAPPERS:
        # Flax keeps `params` beside `batch_stats`; both are needed.
        if isinstance(loaded, dict) and "batch_stats" not in loaded:
            inner = loaded.get(wrapper)
            loaded = inner if isinstance(inner, dict) else loaded
    if not isinstance(loaded, dict):
        raise CheckpointError(f"holds a {type(loaded).__name__}, not a state dict")
    found: dict[str, Any] = {}
    for name, leaf in _walk(loaded, kind, "", 1, set()):
        if name in found:
            raise CheckpointError(f"holds {name} twice")
        found[name] = leaf
    return found


def _walk(
    nested: Mapping[object, object], kind: type, prefix: str, depth: int, seen: set[int]
) -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested dicts with their joined names."""
    # A pickle may put a dict into itself, or one dict into others so often that walking never ends.
    if depth > _MAX_DEPTH or id(nested) in seen:
        raise CheckpointError("its dicts are nested too deeply, or one occurs twice")
    seen.add(id(nested))
    for name, value in nested.items():
        if isinstance(value, kind):
            yield f"{prefix}{name}", value
        elif isinstance(value, dict):
            yield from _walk(value, kind, f"{prefix}{name}/", depth + 1, seen)


def _tensor_arrays(
    tensors: Mapping[str, Tensor], load: Callable[[Storage], bytes | memoryview]
) -> dict[str, np.ndarray]:
    """Return tensors as arrays; tensors that share a storage share its memory."""
    storages = {tensor.storage for tensor in tensors.values()}
    flat = {storage: np.frombuffer(load(storage), storage.dtype) for storage in storages}
    return {
        name: _strided_view(name, flat[tensor.storage], tensor) for name, tensor in tensors.items()
    }


def _strided_view(name: str, flat: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Return a tensor's view of its storage, after checking that it stays inside."""
    _, offset, shape, strides = tensor
    if len(shape) != len(strides) or min((offset, *shape, *strides)) < 0:
        raise CheckpointError(f"tensor {name} has an impossible shape")
    if 0 in shape:
        return np.empty(shape, flat.dtype)
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides))
    if last >= flat.size or flat.size != tensor.storage.length:
        raise CheckpointError(f"tensor {name} reaches beyond its storage")
    # A stride of 0 could repeat one number without end.
    if math.prod(shape) > flat.size:
        raise CheckpointError(f"tensor {name} is larger than its storage")
    byte_strides = tuple(stride * flat.itemsize for stride in strides)
    return np.lib.stride_tricks.as_strided(flat[offset:], shape, byte_strides, writeable=False)
