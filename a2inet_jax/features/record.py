"""A feature file: the arrays of one video as safetensors, with the recipe and checksums in its header."""

import functools
import hashlib
import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from a2inet_jax import files
from a2inet_jax.errors import StoreError, VersionError
from a2inet_jax.features.recipe import Recipe

REMEDY = "remove it and run `a2inet extract`"
SUFFIX = ".safetensors"
# File names may have 255 bytes, including the suffix.
_LONGEST_NAME = 200
# Safetensors' names of the arrays' dtypes, and numbers of dimensions.
_LAYOUT = {"features": ("F16", 2), "frame_index": ("I32", 1), "timestamps": ("F64", 1)}


@dataclass(frozen=True)
class VideoFeatures:
    """One network's features of a video; row t belongs to frame `frame_index[t]`.

    Attributes:
        features: `[T, D]` float16.
        frame_index: Indices of the frames in the video, `[T]` int32.
        timestamps: Times at which the frames are shown, seconds, `[T]` float64.
    """

    features: np.ndarray
    frame_index: np.ndarray
    timestamps: np.ndarray

    def content_sha256(self) -> str:
        """Return the checksum of all arrays."""
        return files.sha256_of_arrays(vars(self))

    def frames_sha256(self) -> str:
        """Return the checksum of the frames' indices and times, by which stores are compared."""
        return files.sha256_of_arrays(
            {"frame_index": self.frame_index, "timestamps": self.timestamps}
        )


@dataclass(frozen=True)
class Record:
    """The header of a feature file.

    Attributes:
        path: The file.
        video_id: Id of the video.
        recipe: Settings that the features were extracted with.
        source: Signature of the video file, such as its size.
        source_sha256: SHA-256 of the video file; "" if it is unknown.
        frames_sha256: Checksum of the frames' indices and times.
        content_sha256: Checksum of the arrays, their names, dtypes and shapes.
        shapes: Shapes of the arrays.
    """

    path: Path
    video_id: str
    recipe: Recipe
    source: str
    source_sha256: str
    frames_sha256: str
    content_sha256: str
    shapes: Mapping[str, tuple[int, ...]]

    @property
    def frames(self) -> int:
        """T, the number of frames with features."""
        return self.shapes["frame_index"][0]

    @property
    def size(self) -> int:
        """Size of the file, bytes."""
        return self.path.stat().st_size


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


def encode(
    video_id: str, recipe: Recipe, features: VideoFeatures, source: str, source_sha256: str
) -> bytes:
    """Return the content of a feature file; equal records give equal bytes."""
    header = {
        "video_id": video_id,
        "recipe": recipe.to_json(),
        "source": source,
        "source_sha256": source_sha256,
        "frames_sha256": features.frames_sha256(),
        "content_sha256": features.content_sha256(),
    }
    arrays = {name: np.ascontiguousarray(array) for name, array in vars(features).items()}
    # A single key, because the library writes several in arbitrary order.
    return save(arrays, metadata={"record": json.dumps(header)})


def read_record(path: Path) -> Record:
    """Read the header of a feature file, and check its arrays' dtypes and shapes against the recipe.

    Raises:
        VersionError: Another version of the package, or another program, wrote the file.
        StoreError: The file is damaged, or not what its recipe gives.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {}).get("record", "null"))
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            dtypes = {name: each.get_dtype() for name, each in slices.items()}
            shapes = {name: tuple(each.get_shape()) for name, each in slices.items()}
    except (SafetensorError, ValueError) as error:
        raise StoreError(f"{path} is damaged or not a feature file ({error}): {REMEDY}") from None
    if header is None:
        raise VersionError(f"{path} is no feature file: move it away")
    try:
        fields = {**header, "recipe": _parse_recipe(header["recipe"])}
        record = Record(path=path, shapes=shapes, **fields)
    except (TypeError, KeyError, ValueError):
        raise VersionError(
            f"{path} was written by another version of a2inet_jax: take another folder, or move it away"
        ) from None
    if problem := _layout_problem(record, dtypes):
        raise StoreError(f"{path} {problem}: {REMEDY}")
    return record


def read_features(path: Path) -> VideoFeatures:
    """Read the arrays of a feature file; `StoreError` if it is damaged."""
    try:
        return VideoFeatures(**load_file(path))
    except (SafetensorError, TypeError) as error:
        raise StoreError(f"{path} is damaged or not a feature file ({error}): {REMEDY}") from None


def file_name(video_id: str) -> str:
    """Return the name of a video's feature file: its id, URL-quoted and shortened if it is long."""
    name = urllib.parse.quote(video_id, safe="", errors="surrogateescape")
    if len(name) > _LONGEST_NAME:
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        name = f"{name[: _LONGEST_NAME - len(digest) - 1]}-{digest}"
    return f"{name}{SUFFIX}"


def check(path: Path) -> Finding:
    """Check header, place, checksums and values of a feature file, reading every array."""
    try:
        with path.open("rb"):
            pass
        record = read_record(path)
        expected = f"{record.recipe.folder_name()}/{file_name(record.video_id)}"
        if f"{path.parent.resolve().name}/{path.name}" != expected:
            return Finding(path, f"holds the features that belong in {expected}")
        problem = _content_problem(record, read_features(path))
    except VersionError as error:
        return Finding(path, str(error).removeprefix(f"{path} "))
    except StoreError as error:
        problem = str(error).removeprefix(f"{path} ").removesuffix(f": {REMEDY}")
    except OSError as error:
        return Finding(path, f"can't be read ({error.strerror or error})")
    return Finding(path, problem, damaged=bool(problem))


def remove(finding: Finding) -> bool:
    """Remove a damaged file unless a job has extracted it again; return whether it was removed."""
    if not finding.damaged or not check(finding.path).damaged:
        return False
    finding.path.unlink(missing_ok=True)
    return True


def _layout_problem(record: Record, dtypes: Mapping[str, str]) -> str:
    """Return what is wrong with names, dtypes and shapes of a file's arrays; "" if nothing is."""
    recipe, shapes = record.recipe, record.shapes
    if shapes.keys() != _LAYOUT.keys():
        return f"holds the arrays {', '.join(shapes)}, not {', '.join(_LAYOUT)}"
    for name, (dtype, rank) in _LAYOUT.items():
        if dtypes[name] != dtype:
            return f"holds {name} of type {dtypes[name]}, not {dtype}"
        if len(shapes[name]) != rank:
            return f"holds {name} of shape {shapes[name]}"
    rows = {name: shape[0] for name, shape in shapes.items()}
    if len(set(rows.values())) > 1 or not record.frames:
        return "holds " + ", ".join(f"{number} rows of {name}" for name, number in rows.items())
    if (width := shapes["features"][1]) != recipe.width:
        return f"holds {width} features a frame, not the {recipe.width} of {recipe.backbone}"
    if recipe.sampling.frames and record.frames > recipe.sampling.frames:
        return f"holds {record.frames} frames, more than the {recipe.sampling.frames} of its recipe"
    return ""


def _content_problem(record: Record, features: VideoFeatures) -> str:
    """Return what is wrong with the values of a file's arrays; "" if nothing is."""
    if features.content_sha256() != record.content_sha256:
        return "holds other bytes than were written: the SHA-256 differs"
    if features.frames_sha256() != record.frames_sha256:
        return "holds other frames than its header says: the SHA-256 differs"
    for name, array in vars(features).items():
        if not np.isfinite(array).all():
            return f"holds {name} that are not finite"
    if features.frame_index[0] < 0 or (np.diff(features.frame_index.astype(np.int64)) <= 0).any():
        return "holds frame_index that does not ascend from 0 or more"
    if (np.diff(features.timestamps) < 0).any():
        return "holds timestamps that do not ascend"
    return ""


# Cached: the files of a store share one recipe, and parsing it takes longer than the rest of a header.
_parse_recipe: Any = functools.lru_cache(maxsize=16)(Recipe.from_json)
