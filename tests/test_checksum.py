"""SHA-256 checksums of files and of arrays."""

import hashlib
from pathlib import Path

import numpy as np

from a2inet_jax.files import sha256, sha256_of_arrays


def test_sha256_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a clip" * 1000)
    assert sha256(tmp_path / "file") == hashlib.sha256(b"a clip" * 1000).hexdigest()


def test_sha256_of_arrays_depends_on_order_names_dtypes_shapes_and_values() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    content = b"a float32 (2, 3)\n" + array.tobytes() + b"b float32 (3, 2)\n" + array.T.tobytes()
    digest = sha256_of_arrays({"a": array, "b": array.T})
    assert digest == hashlib.sha256(content).hexdigest()
    others: list[dict[str, np.ndarray]] = [
        {"a": array, "c": array.T},
        {"b": array.T, "a": array},
        {"a": array.astype(np.float64), "b": array.T},
        {"a": array.reshape(6), "b": array.T},
        {"a": array + 1, "b": array.T},
    ]
    assert digest not in {sha256_of_arrays(other) for other in others}
