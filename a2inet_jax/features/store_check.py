"""Checks of stored feature files, which read every array."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from a2inet_jax.errors import StoreError, VersionError
from a2inet_jax.features.record import (
    REMEDY,
    Header,
    VideoFeatures,
    content_sha256,
    read_features,
    read_header,
)
from a2inet_jax.features.store import file_name

_DTYPES = {
    "quality": np.float16,
    "semantic": np.float16,
    "frame_index": np.int32,
    "timestamps": np.float64,
}


@dataclass(frozen=True)
class Finding:
    """The result of a file's check.

    Attributes:
        path: The file.
        problem: What is wrong with it; "" if nothing is.
        damaged: Whether its content is wrong, so that extracting it again would help.
    """

    path: Path
    problem: str = ""
    damaged: bool = False


def check(path: Path) -> Finding:
    """Check the header, the name, the checksum and the arrays of a file named like a feature file."""
    try:
        with path.open("rb"):
            pass
        header = read_header(path)
        expected = file_name(header.video_id, header.recipe)
        if path.name != expected:
            return Finding(path, f"holds the features that belong in {expected}")
        problem = content_problem(header, read_features(path))
    except VersionError as error:
        return Finding(path, str(error).removeprefix(f"{path} "))
    except StoreError as error:
        problem = str(error).removeprefix(f"{path} ").removesuffix(f": {REMEDY}")
    except OSError as error:
        return Finding(path, f"can't be read ({error.strerror or error})")
    return Finding(path, problem, damaged=bool(problem))


def check_all(paths: list[Path]) -> Iterator[Finding]:
    """Check files one after the other; those that were removed in the meantime are left out."""
    for path in paths:
        finding = check(path)
        if path.exists() or path.is_symlink():
            yield finding


def remove(finding: Finding) -> bool:
    """Remove a damaged file unless a job has extracted it again; return whether it was removed."""
    if not finding.damaged or not check(finding.path).damaged:
        return False
    finding.path.unlink(missing_ok=True)
    return True


def content_problem(header: Header, features: VideoFeatures) -> str:
    """Return what is wrong with the arrays of a file; "" if nothing is."""
    arrays = {name: getattr(features, name) for name in _DTYPES}
    for name, dtype in _DTYPES.items():
        if arrays[name].dtype != dtype:
            return f"holds {name} of type {arrays[name].dtype}, not {np.dtype(dtype)}"
    if content_sha256(features) != header.content_sha256:
        return "holds other bytes than were written: the SHA-256 differs"
    rows = {name: len(array) for name, array in arrays.items()}
    if len(set(rows.values())) > 1 or not rows["quality"]:
        return "holds " + ", ".join(f"{number} rows of {name}" for name, number in rows.items())
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            return f"holds {name} that are not finite"
    if features.frame_index[0] < 0 or (np.diff(features.frame_index.astype(np.int64)) <= 0).any():
        return "holds frame_index that does not ascend from 0 or more"
    if (np.diff(features.timestamps) < 0).any():
        return "holds timestamps that do not ascend"
    return ""
