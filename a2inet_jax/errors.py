"""Every error that is a message to the user, in one tree; anything else that is raised is a bug.

    A2INetError
    ├── ConfigError         a field of a config, an option or an argument cannot be used
    ├── DataError           labels, a data set or its splits are not sound
    │   └── ClipError       a clip of the sample data set cannot be made
    ├── VideoError          a video cannot be decoded
    │   └── DecoderDiedError
    ├── WeightsError        weights of a network are unknown, missing or not what they should be
    │   ├── CheckpointError a published checkpoint cannot be read
    │   └── ConversionError its tensors do not fit the network
    ├── DownloadError       a file could not be fetched
    │   └── PackageFileError
    ├── StoreError          stored features cannot be used
    │   └── VersionError    another version wrote them
    ├── RunError            a run's folder belongs to another experiment, or cannot be read
    ├── TrainingError       training cannot start or continue
    │   └── DivergedError   a loss or a parameter is not finite
    └── EngineError         a Ray cluster cannot do the work

The operating system's own errors (`FileNotFoundError`, a full disk) stay `OSError`. Errors about bad
values are `ValueError`s as well.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class A2INetError(Exception):
    """The base of all; its text names the file or field, and what to do."""


class ConfigError(A2INetError, ValueError):
    """A field of a config, an option or an argument cannot be used."""


class DataError(A2INetError, ValueError):
    """Labels, a data set or its splits are not sound."""


class ClipError(DataError):
    """A clip of the sample data set cannot be made."""


class VideoError(A2INetError):
    """A video cannot be decoded.

    Attributes:
        path: The video.
        reason: Why, without the path.
    """

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(path, reason)  # so that it can be pickled
        self.path = Path(path)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class DecoderDiedError(VideoError):
    """The decoding process died or was stopped; another one may succeed."""


class WeightsError(A2INetError, ValueError):
    """Weights of a network are unknown, missing or not what they should be."""


class CheckpointError(WeightsError):
    """A published checkpoint cannot be read, or holds something other than numbers."""


class ConversionError(WeightsError):
    """A checkpoint's tensors do not fit the network; the text lists all that is wrong."""


class DownloadError(A2INetError):
    """A file could not be fetched."""


class PackageFileError(DownloadError):
    """A file of the Python package index could not be fetched, or is not the expected one."""


class StoreError(A2INetError, ValueError):
    """Stored features cannot be used."""


class VersionError(StoreError):
    """Another version of the program wrote the features."""


class RunError(A2INetError):
    """A run's folder belongs to another experiment, or cannot be read."""


class TrainingError(A2INetError, ValueError):
    """Training cannot start or continue."""


class DivergedError(TrainingError):
    """A loss or a parameter became NaN or infinite."""


class EngineError(A2INetError):
    """A Ray cluster cannot do the work; the text says why."""


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """List the values of two nested mappings that differ, for messages: `a.b: theirs there, ours now`."""
    there, now = _flat(theirs), _flat(ours)
    return [
        f"{key}: {_short(there.get(key))} there, {_short(now.get(key))} now"
        for key in sorted(there | now)
        if there.get(key) != now.get(key)
    ]


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, Mapping):
        return {prefix: tree}
    subtrees = (_flat(value, f"{prefix}.{key}" if prefix else key) for key, value in tree.items())
    return {key: value for subtree in subtrees for key, value in subtree.items()}


def _short(value: Any) -> Any:
    """Return a value as a message shows it: the first digits of a hash, the length of a long list."""
    if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value):
        return f"{value[:12]}…"
    if isinstance(value, list | tuple) and len(str(value)) > 60:
        return f"{len(value)} entries"
    return value
