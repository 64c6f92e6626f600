"""Pickles assembled by hand: as Python 2 wrote them, and malicious ones."""

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping

import numpy as np

LEGACY_HEAD = b"".join(
    pickle.dumps(part, protocol=2)
    for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
)


def text(value: str) -> bytes:
    """Push a text as Python 3 does."""
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def raw(value: bytes) -> bytes:
    """Push a Python 2 string."""
    if len(value) < 256:
        return b"U" + bytes([len(value)]) + value
    return b"T" + struct.pack("<I", len(value)) + value


def dtype(name: str, order: str = "<", fields: bytes = b"NNN") -> bytes:
    """Push a NumPy dtype."""
    call = b"cnumpy\ndtype\n" + raw(name.encode()) + b"K\0K\1\x87R"
    return call + b"(K\3" + raw(order.encode()) + fields + b"J\xff\xff\xff\xff" * 2 + b"K\0tb"


def array(shape: bytes, kind: bytes, values: bytes, fortran: bool = False) -> bytes:
    """Push a NumPy array, given programs that push its parts."""
    call = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + raw(b"b") + b"\x87R"
    return call + b"(K\1" + shape + kind + (b"\x88" if fortran else b"\x89") + values + b"tb"


def caffe2(blobs: Mapping[str, np.ndarray]) -> bytes:
    """Pickle Caffe2's `{"blobs": {name: array}}` as Python 2 does."""
    program = b"\x80\x02}" + raw(b"blobs") + b"}("
    for name, values in blobs.items():
        shape = b"(" + b"".join(b"J" + struct.pack("<i", side) for side in values.shape) + b"t"
        kind = dtype(values.dtype.str[1:], values.dtype.str[0])
        program += raw(name.encode()) + array(shape, kind, raw(values.tobytes()))
    return program + b"us."


def zipped(program: bytes, compression: int = zipfile.ZIP_STORED) -> bytes:
    """Put a pickle into an archive like torch.save's."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("archive/data.pkl", program)
    return buffer.getvalue()


def legacy(program: bytes) -> bytes:
    """Put a pickle into torch.save's older format."""
    return LEGACY_HEAD + program


def bare(program: bytes) -> bytes:
    """Return the pickle alone."""
    return program
