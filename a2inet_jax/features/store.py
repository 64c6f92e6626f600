"""Features on disk: one safetensors file a video, float16, with its recipe in the header.

The files are the truth: what is there is found by looking. A file is written under another name and renamed
when it is whole, so that a record is there entirely or not at all, whoever is killed when, and several
processes may write to one store, on one machine or on several that share the folder.
"""

import hashlib
import os
import re
import urllib.parse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from safetensors import safe_open

from a2inet_jax import atomic
from a2inet_jax.errors import StoreError
from a2inet_jax.features.recipe import STREAMS, Recipe
from a2inet_jax.features.record import Header, VideoFeatures, encode, read_features, read_header

_SUFFIX = ".safetensors"
# A file system takes 255 bytes, the recipe's fingerprint and the suffix among them.
_LONGEST_NAME = 200
_NO_STORE = "name a folder that `a2inet extract` wrote"
_NAME = re.compile(r".+\.([0-9a-f]{16})\.safetensors")


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
        for path in feature_files(folder):
            if not path.name.endswith(self._ending):
                self._check_recipe(path, read_header(path).recipe)

    @classmethod
    def existing(cls, folder: Path) -> Self:
        """Open a store by what its files say.

        Args:
          folder: where the files are.

        Raises:
          StoreError: there is no good file, or there are files of several recipes.
        """
        found = recipes(folder)
        if not found:
            raise StoreError(f"{folder} holds no good feature file: {_NO_STORE}")
        if len(found) > 1:
            raise StoreError(several(folder, found))
        return cls(folder, found[0])

    def path(self, video_id: str) -> Path:
        """Where a video's features are, or will be."""
        return self.folder / file_name(video_id, self.recipe)

    def write(self, video_id: str, features: VideoFeatures, source: str) -> None:
        """Put a video's features in place, whole, over what may be there.

        Args:
          video_id: name of the video.
          features: of this store's recipe.
          source: what another video file of the same name would differ in, such as its size.

        Raises:
          OSError: the folder can't be written or the disk is full; nothing half-written is left.
        """
        atomic.write(self.path(video_id), encode(video_id, self.recipe, source, features))

    def sweep(self) -> list[Path]:
        """Remove what writers left that were killed; those that live are not disturbed.

        Returns:
          What was removed.
        """
        return atomic.sweep(self.folder)

    def read(self, video_id: str) -> VideoFeatures:
        """Features of one video.

        Args:
          video_id: name of the video.

        Raises:
          FileNotFoundError: they have not been extracted.
          StoreError: the file is damaged, of another recipe or of another video.
        """
        path, _ = self._checked(video_id)
        return read_features(path)

    def streams(self, video_id: str, names: Sequence[str]) -> tuple[np.ndarray, ...]:
        """Some of the `STREAMS` of one video: `[T, D]` float16 each; errors as `read`."""
        path, _ = self._checked(video_id)
        with safe_open(path, framework="numpy") as file:
            return tuple(file.get_tensor(name) for name in names)

    def record(self, video_id: str) -> Record:
        """The manifest's line of one video, from its header alone; errors as `read`."""
        path, header = self._checked(video_id)
        return _record(path, header)

    def missing(self, video_ids: Iterable[str]) -> list[str]:
        """Those videos, in the order given, that have no features here yet."""
        present = set(_names(self.folder))
        return [video_id for video_id in video_ids if self.path(video_id).name not in present]

    def source(self, video_id: str) -> str:
        """What was noted of the video file that the features on disk were made from.

        Args:
          video_id: name of a video that isn't missing.

        Raises:
          StoreError: the file is damaged, or another video's.
        """
        return self._checked(video_id)[1].source

    def manifest(self) -> list[Record]:
        """What the folder holds, by looking at every file's header; sorted by video id.

        Raises:
          StoreError: a file is damaged or of another recipe.
        """
        records = []
        for path in self.paths():
            header = read_header(path)
            self._check_recipe(path, header.recipe)
            records.append(_record(path, header))
        return sorted(records, key=lambda record: record.video_id)

    def _checked(self, video_id: str) -> tuple[Path, Header]:
        path = self.path(video_id)
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: run `a2inet extract` to make it")
        header = read_header(path)
        self._check_recipe(path, header.recipe)
        if header.video_id != video_id:
            raise StoreError(
                f"{path} holds the features of {header.video_id!r}, not of {video_id!r}"
            )
        return path, header

    def paths(self) -> list[Path]:
        """The feature files of this recipe, sorted; none is opened."""
        names = sorted(name for name in _names(self.folder) if name.endswith(self._ending))
        return [self.folder / name for name in names]

    def _check_recipe(self, path: Path, recipe: Recipe) -> None:
        if recipe != self.recipe:
            raise StoreError(
                f"{path} was made by recipe {recipe.fingerprint()}, and recipe "
                f"{self.recipe.fingerprint()} is asked for ({self.recipe.differences(recipe)}): "
                "take another folder, or remove the files"
            )


def file_name(video_id: str, recipe: Recipe) -> str:
    """The name of a feature file: video id (URL-quoted, and cut where it is long) and recipe."""
    name = urllib.parse.quote(video_id, safe="", errors="surrogateescape")
    if len(name) > _LONGEST_NAME:
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        name = f"{name[: _LONGEST_NAME - len(digest) - 1]}-{digest}"
    return f"{name}.{recipe.fingerprint()}{_SUFFIX}"


def feature_files(folder: Path) -> list[Path]:
    """The files that are named like feature files, of whatever recipe, sorted; none is opened."""
    return [folder / name for name in sorted(_names(folder)) if _NAME.fullmatch(name)]


def recipes(folder: Path) -> list[Recipe]:
    """The recipes of the good files of a folder; of each, one file's header is read."""
    found: dict[str, Recipe] = {}
    for path in feature_files(folder):
        fingerprint = path.name.removesuffix(_SUFFIX)[-16:]
        if fingerprint not in found:
            try:
                recipe = read_header(path).recipe
            except (StoreError, OSError):
                continue
            if recipe.fingerprint() == fingerprint:
                found[fingerprint] = recipe
    return list(found.values())


def several(folder: Path, found: Sequence[Recipe]) -> str:
    """What is said of a folder with several recipes."""
    first, second = found[:2]
    return (
        f"{folder} holds files of {len(found)} recipes, such as {first.fingerprint()} and "
        f"{second.fingerprint()} ({first.differences(second)}): move the files of all but one elsewhere"
    )


def _names(folder: Path) -> list[str]:
    """Names of what may be feature files. No path is made of each: a store may have 100,000."""
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith(_SUFFIX))
    except FileNotFoundError:
        return []


def _record(path: Path, header: Header) -> Record:
    return Record(
        video_id=header.video_id,
        path=path,
        frames=header.shapes["quality"][0],
        widths={name: header.shapes[name][1] for name in STREAMS},
        size=path.stat().st_size,
        content_sha256=header.content_sha256,
    )
