"""A feature file: the arrays of one video as safetensors, with the recipe and a checksum in its header."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from a2inet_jax.checksum import sha256_of_arrays
from a2inet_jax.errors import StoreError, VersionError
from a2inet_jax.features.recipe import STREAMS, Recipe

REMEDY = "remove it and run `a2inet extract`"
FIELDS = (*STREAMS, "frame_index", "timestamps")
_RANKS = (2, 2, 1, 1)


@dataclass(frozen=True)
class VideoFeatures:
    """What the model knows of one video.

    Attributes:
      quality: features of the quality stream, [T, Dq] float16.
      semantic: features of the semantic stream, [T, Ds] float16.
      frame_index: which frames of the video they describe, [T] int32.
      timestamps: when these are shown, seconds, [T] float64.
    """

    quality: np.ndarray
    semantic: np.ndarray
    frame_index: np.ndarray
    timestamps: np.ndarray


@dataclass(frozen=True)
class Header:
    """What a feature file says of itself.

    Attributes:
      video_id: name of the video.
      recipe: what the features were made by.
      source: of the video file, such as its size.
      content_sha256: of the arrays, their names, types and shapes.
      shapes: of the arrays.
    """

    video_id: str
    recipe: Recipe
    source: str
    content_sha256: str
    shapes: Mapping[str, tuple[int, ...]]


def encode(video_id: str, recipe: Recipe, source: str, features: VideoFeatures) -> bytes:
    """The content of a feature file; equal for equal records."""
    arrays = {name: np.ascontiguousarray(getattr(features, name)) for name in FIELDS}
    # One key: the library writes several in any order, and equal records should be equal files.
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
    """What a file says of itself; its arrays are not read.

    Raises:
      VersionError: another version of the package wrote it.
      StoreError: the file is damaged or not a feature file.
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
        recipe = _recipe(record["recipe"])
        return Header(
            record["video_id"], recipe, record["source"], record["content_sha256"], shapes
        )
    except (TypeError, KeyError, ValueError):
        raise VersionError(
            f"{path} was written by another version of a2inet_jax: take another folder, or move it away"
        ) from None


def read_features(path: Path) -> VideoFeatures:
    """The arrays of a file.

    Raises:
      StoreError: the file is damaged.
    """
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise StoreError(f"{path} is damaged or not a feature file ({error}): {REMEDY}") from None
    return VideoFeatures(**{name: tensors[name] for name in FIELDS})


def content_sha256(features: VideoFeatures) -> str:
    """Of the arrays, their names, types and shapes, as `encode` notes it in the header."""
    return sha256_of_arrays({name: getattr(features, name) for name in FIELDS})


# A store has one recipe, and reading it from its text takes longer than the rest of a header.
_recipe = functools.lru_cache(maxsize=16)(Recipe.from_json)
