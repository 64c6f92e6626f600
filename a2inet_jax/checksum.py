"""SHA-256 of what is kept and passed on: of a file, and of arrays whatever the file they lie in."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of arrays in their order, with their names, types and shapes, in hexadecimal."""
    content = hashlib.sha256()
    for name, array in arrays.items():
        content.update(f"{name} {array.dtype} {array.shape}\n".encode())
        content.update(np.ascontiguousarray(array).data)
    return content.hexdigest()
