"""Features on disk: one safetensors file a video, float16, with its recipe in the header.

The files are the truth: what is there is found by looking. A file is written under another name and renamed
when it is whole, so that a record is there entirely or not at all, whoever is killed when, and several
processes may write to one store.
"""

import hashlib
import json
import os
import urllib.parse
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from a2inet_jax.features.recipe import Recipe

_SUFFIX = ".safetensors"
_FIELDS = ("quality", "semantic", "frame_index", "timestamps")


class StoreError(ValueError):
    """A store or a file in it can't be used; the message says what to do."""


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
class Record:
    """A line of the manifest: which video, where, how many frames, how many bytes, and of what content.

    Attributes:
      video_id: name of the video.
      path: its feature file.
      frames: T.
      widths: features of a frame in the quality and the semantic stream.
      size: bytes of the file.
      content_sha256: of the arrays in it.
    """

    video_id: str
    path: Path
    frames: int
    widths: dict[str, int]
    size: int
    content_sha256: str


class Store:
    """A folder of feature files, all of one recipe."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        """Open a store; the folder is made with the first file.

        Args:
          folder: where the files are.
          recipe: what they are made by.

        Raises:
          StoreError: the folder has files of another recipe.
        """
        self.folder = folder
        self.recipe = recipe
        self._ending = f".{recipe.fingerprint()}{_SUFFIX}"
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            if not path.name.endswith(self._ending):
                self._check_recipe(path, _header(path).recipe)

    def path(self, video_id: str) -> Path:
        """Where a video's features are, or will be: video id (URL-quoted) and recipe make the name."""
        return self.folder / (urllib.parse.quote(video_id, safe="") + self._ending)

    def write(self, video_id: str, features: VideoFeatures, source_bytes: int) -> None:
        """Put a video's features in place, whole, over what may be there.

        Args:
          video_id: name of the video.
          features: of this store's recipe.
          source_bytes: size of the video file, by which another file of the same name is told.

        Raises:
          OSError: the folder can't be written or the disk is full; nothing half-written is left.
        """
        arrays = {name: np.ascontiguousarray(getattr(features, name)) for name in _FIELDS}
        # One key: the library writes several in any order, and equal records should be equal files.
        header = json.dumps(
            {
                "video_id": video_id,
                "recipe": self.recipe.to_json(),
                "source_bytes": source_bytes,
                "content_sha256": _digest(arrays),
            }
        )
        content = save(arrays, metadata={"record": header})
        self.folder.mkdir(parents=True, exist_ok=True)
        final = self.path(video_id)
        aside = self.folder / f".{uuid.uuid4().hex}.part"
        try:
            with aside.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(final)
        finally:
            aside.unlink(missing_ok=True)

    def read(self, video_id: str) -> VideoFeatures:
        """Features of one video.

        Args:
          video_id: name of the video.

        Raises:
          FileNotFoundError: they have not been extracted.
          StoreError: the file is damaged, of another recipe or of another video.
        """
        path, _ = self._checked(video_id)
        tensors = load_file(path)
        return VideoFeatures(**{name: tensors[name] for name in _FIELDS})

    def streams(self, video_id: str, names: Sequence[str]) -> tuple[np.ndarray, ...]:
        """Some streams of one video, "quality" or "semantic" each: `[T, D]` float16; errors as `read`."""
        path, _ = self._checked(video_id)
        with safe_open(path, framework="numpy") as file:
            return tuple(file.get_tensor(name) for name in names)

    def record(self, video_id: str) -> Record:
        """The manifest's line of one video, from its header alone; errors as `read`."""
        path, header = self._checked(video_id)
        return _record(path, header)

    def missing(self, video_ids: Iterable[str]) -> list[str]:
        """Those videos, in the order given, that have no features here yet."""
        present = {path.name for path in self._paths()}
        return [video_id for video_id in video_ids if self.path(video_id).name not in present]

    def source_bytes(self, video_id: str) -> int:
        """Size of the video file that the features on disk were made from.

        Args:
          video_id: name of a video that isn't missing.

        Raises:
          StoreError: the file is damaged.
        """
        return _header(self.path(video_id)).source_bytes

    def manifest(self) -> list[Record]:
        """What the folder holds, by looking at every file's header; sorted by video id.

        Raises:
          StoreError: a file is damaged or of another recipe.
        """
        records = []
        for path in self._paths():
            header = _header(path)
            self._check_recipe(path, header.recipe)
            records.append(_record(path, header))
        return sorted(records, key=lambda record: record.video_id)

    def _checked(self, video_id: str) -> tuple[Path, "_Header"]:
        path = self.path(video_id)
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: run `a2inet extract` to make it")
        header = _header(path)
        self._check_recipe(path, header.recipe)
        if header.video_id != video_id:
            raise StoreError(
                f"{path} holds the features of {header.video_id!r}, not of {video_id!r}"
            )
        return path, header

    def _paths(self) -> list[Path]:
        return [
            path for path in self.folder.glob(f"*{_SUFFIX}") if path.name.endswith(self._ending)
        ]

    def _check_recipe(self, path: Path, recipe: Recipe) -> None:
        if recipe != self.recipe:
            raise StoreError(
                f"{path} was made by recipe {recipe.fingerprint()}, and recipe "
                f"{self.recipe.fingerprint()} is asked for ({self.recipe.differences(recipe)}): "
                "take another folder, or remove the files"
            )


@dataclass(frozen=True)
class _Header:
    video_id: str
    recipe: Recipe
    source_bytes: int
    content_sha256: str


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    content = hashlib.sha256()
    for name in _FIELDS:
        content.update(f"{name} {arrays[name].dtype} {arrays[name].shape}\n".encode())
        content.update(arrays[name].data)
    return content.hexdigest()


def _record(path: Path, header: _Header) -> Record:
    with safe_open(path, framework="numpy") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in ("quality", "semantic")}
    return Record(
        video_id=header.video_id,
        path=path,
        frames=shapes["quality"][0],
        widths={name: shape[1] for name, shape in shapes.items()},
        size=path.stat().st_size,
        content_sha256=header.content_sha256,
    )


def _header(path: Path) -> _Header:
    try:
        with safe_open(path, framework="numpy") as file:
            if not set(_FIELDS) <= set(file.keys()):
                raise KeyError("tensors")
            record = json.loads(file.metadata()["record"])
        recipe = Recipe.from_json(record["recipe"])
        return _Header(record["video_id"], recipe, record["source_bytes"], record["content_sha256"])
    except (SafetensorError, TypeError, KeyError, ValueError) as error:
        raise StoreError(
            f"{path} is damaged or no feature file ({error}): remove it and run `a2inet extract`"
        ) from None
