"""SHA-256 checksums of files, and of arrays independently of the file that holds them."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of arrays in their order, with names, dtypes and shapes, in hexadecimal."""
    content = hashlib.sha256()
    for name, array in arrays.items():
        content.update(f"{name} {array.dtype} {array.shape}\n".encode())
        content.update(np.ascontiguousarray(array).data)
    return content.hexdigest()
