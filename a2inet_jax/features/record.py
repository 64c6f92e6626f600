"""A feature file: the arrays of one video as safetensors, with the recipe and a checksum in its header."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from a2inet_jax.errors import StoreError, VersionError
from a2inet_jax.features.recipe import STREAMS, Recipe
from a2inet_jax.files import sha256_of_arrays

REMEDY = "remove it and run `a2inet extract`"
FIELDS = (*STREAMS, "frame_index", "timestamps")
_RANKS = (2, 2, 1, 1)


@dataclass(frozen=True)
class VideoFeatures:
    """The features of one video; row t of both streams belongs to frame `frame_index[t]`.

    Attributes:
        quality: Features of the quality stream, `[T, Dq]` float16.
        semantic: Features of the semantic stream, `[T, Ds]` float16.
        frame_index: Indices of the frames in the video, `[T]` int32.
        timestamps: Times at which the frames are shown, seconds, `[T]` float64.
    """

    quality: np.ndarray
    semantic: np.ndarray
    frame_index: np.ndarray
    timestamps: np.ndarray


@dataclass(frozen=True)
class Header:
    """The header of a feature file.

    Attributes:
        video_id: Id of the video.
        recipe: Settings that the features were extracted with.
        source: Signature of the video file, such as its size.
        content_sha256: Checksum of the arrays, their names, dtypes and shapes.
        shapes: Shapes of the arrays.
    """

    video_id: str
    recipe: Recipe
    source: str
    content_sha256: str
    shapes: Mapping[str, tuple[int, ...]]


def encode(video_id: str, recipe: Recipe, source: str, features: VideoFeatures) -> bytes:
    """Return the content of a feature file; equal records give equal bytes."""
    arrays = {name: np.ascontiguousarray(getattr(features, name)) for name in FIELDS}
    # A single key, because the library writes several in arbitrary order.
    header = json.dumps(
        {
            "video_id": video_id,
            "recipe": recipe.to_json(),
            "source": source,
            "content_sha256": sha256_of_arrays(arrays),
        }
    )
    return save(arrays, metadata={"record": header})


def read_header(path: Path) -> Header:
    """Read the header of a feature file, without its arrays.

    Raises:
        VersionError: The file was written by another version of the package.
        StoreError: The file is damaged or not a feature file.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in FIELDS}
            if tuple(map(len, shapes.values())) != _RANKS:
                raise ValueError(f"shapes {shapes}")
            record = json.loads(file.metadata()["record"])
    except (SafetensorError, TypeError, KeyError, ValueError) as error:
        raise StoreError(f"{path} is damaged or not a feature file ({error}): {REMEDY}") from None
    try:
        recipe = _parse_recipe(record["recipe"])
        return Header(
            record["video_id"], recipe, record["source"], record["content_sha256"], shapes
        )
    except (TypeError, KeyError, ValueError):
        raise VersionError(
            f"{path} was written by another version of a2inet_jax: take another folder, or move it away"
        ) from None


def read_features(path: Path) -> VideoFeatures:
    """Read the arrays of a feature file.

    Raises:
        StoreError: The file is damaged.
    """
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise StoreError(f"{path} is damaged or not a feature file ({error}): {REMEDY}") from None
    return VideoFeatures(**{name: tensors[name] for name in FIELDS})


def content_sha256(features: VideoFeatures) -> str:
    """Return the checksum of features that `encode` writes into the header."""
    return sha256_of_arrays({name: getattr(features, name) for name in FIELDS})


# Cached: the files of a store share one recipe, and parsing it takes longer than the rest of a header.
_parse_recipe = functools.lru_cache(maxsize=16)(Recipe.from_json)
