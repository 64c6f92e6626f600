"""A store of features: a folder with one safetensors file a video, float16, with its recipe in the header.

The files are the truth; there is no index beside them. A file is written under a temporary name and renamed
when it is complete, so that it is there entirely or not at all, even if its writer is killed. Several
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

from a2inet_jax import files
from a2inet_jax.errors import StoreError
from a2inet_jax.features.recipe import STREAMS, Recipe
from a2inet_jax.features.record import Header, VideoFeatures, encode, read_features, read_header

_SUFFIX = ".safetensors"
# File names may have 255 bytes, including the recipe's fingerprint and the suffix.
_LONGEST_NAME = 200
_NAME = re.compile(r".+\.([0-9a-f]{16})\.safetensors")


@dataclass(frozen=True)
class Record:
    """The manifest's entry of a video.

    Attributes:
        video_id: Id of the video.
        path: Its feature file.
        frames: T, the number of frames with features.
        widths: Stream → features of a frame.
        size: Size of the file, bytes.
        content_sha256: Checksum of the arrays.
    """

    video_id: str
    path: Path
    frames: int
    widths: dict[str, int]
    size: int
    content_sha256: str


class Store:
    """A folder of feature files that share one recipe."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        """Open a store; its folder is made with the first file.

        Raises:
            StoreError: The folder has files of another recipe.
        """
        if folder.exists() and not folder.is_dir():
            raise StoreError(f"{folder} is a file: name a folder")
        self.folder = folder
        self.recipe = recipe
        self._ending = f".{recipe.fingerprint()}{_SUFFIX}"
        for path in feature_files(folder):
            if not path.name.endswith(self._ending):
                self._check_recipe(path, read_header(path).recipe)

    @classmethod
    def existing(cls, folder: Path) -> Self:
        """Open a store, and take its recipe from its files.

        Raises:
            StoreError: There is no good file, or there are files of several recipes.
        """
        found = recipes(folder)
        if not found:
            raise StoreError(
                f"{folder} holds no good feature file: name a folder that `a2inet extract` wrote"
            )
        if len(found) > 1:
            raise StoreError(mixed_recipes_message(folder, found))
        return cls(folder, found[0])

    def path(self, video_id: str) -> Path:
        """Return the path of a video's feature file, whether it exists or not."""
        return self.folder / file_name(video_id, self.recipe)

    def write(self, video_id: str, features: VideoFeatures, source: str) -> None:
        """Write a video's features, replacing any that are there.

        Args:
            video_id: Id of the video.
            features: Features of this store's recipe.
            source: Signature of the video file, such as its size; a different file of the same name
                has a different one.

        Raises:
            OSError: The folder cannot be written, or the disk is full; nothing incomplete is left.
        """
        files.write(self.path(video_id), encode(video_id, self.recipe, source, features))

    def sweep(self) -> list[Path]:
        """Remove the temporary files of killed writers, and return them; living writers are not disturbed."""
        return files.sweep(self.folder)

    def read(self, video_id: str) -> VideoFeatures:
        """Read the features of one video.

        Raises:
            FileNotFoundError: They have not been extracted.
            StoreError: The file is damaged, of another recipe or of another video.
        """
        path, _ = self._checked(video_id)
        return read_features(path)

    def streams(self, video_id: str, names: Sequence[str]) -> tuple[np.ndarray, ...]:
        """Read some of the `STREAMS` of one video, `[T, D]` float16 each; raises the errors of `read`."""
        path, _ = self._checked(video_id)
        with safe_open(path, framework="numpy") as file:
            return tuple(file.get_tensor(name) for name in names)

    def record(self, video_id: str) -> Record:
        """Return the manifest's entry of one video, from its header alone; raises the errors of `read`."""
        path, header = self._checked(video_id)
        return _record(path, header)

    def missing(self, video_ids: Iterable[str]) -> list[str]:
        """Return the videos without a feature file, in the order given."""
        present = set(_names(self.folder))
        return [video_id for video_id in video_ids if self.path(video_id).name not in present]

    def source(self, video_id: str) -> str:
        """Return the signature of the video file that the stored features were extracted from.

        Raises:
            FileNotFoundError: The features have not been extracted.
            StoreError: The file is damaged, of another recipe or of another video.
        """
        return self._checked(video_id)[1].source

    def manifest(self) -> list[Record]:
        """Return the entries of all videos, read from the files' headers and sorted by video id.

        Raises:
            StoreError: A file is damaged or of another recipe.
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
            raise FileNotFoundError(
                f"video {video_id!r} has no features of {self.recipe.networks()} yet: "
                "run `a2inet extract`"
            )
        header = read_header(path)
        self._check_recipe(path, header.recipe)
        if header.video_id != video_id:
            raise StoreError(
                f"{path} holds the features of {header.video_id!r}, not of {video_id!r}"
            )
        return path, header

    def paths(self) -> list[Path]:
        """Return the paths of all feature files of this recipe, sorted, without opening any."""
        names = sorted(name for name in _names(self.folder) if name.endswith(self._ending))
        return [self.folder / name for name in names]

    def _check_recipe(self, path: Path, recipe: Recipe) -> None:
        if recipe != self.recipe:
            raise StoreError(
                f"{path} was extracted with recipe {recipe.fingerprint()}, but recipe "
                f"{self.recipe.fingerprint()} is needed ({self.recipe.differences(recipe)}): "
                "take another folder, or remove the files"
            )


def file_name(video_id: str, recipe: Recipe) -> str:
    """Return the name of a feature file: video id (URL-quoted, shortened if it is long) and recipe."""
    name = urllib.parse.quote(video_id, safe="", errors="surrogateescape")
    if len(name) > _LONGEST_NAME:
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        name = f"{name[: _LONGEST_NAME - len(digest) - 1]}-{digest}"
    return f"{name}.{recipe.fingerprint()}{_SUFFIX}"


def feature_files(folder: Path) -> list[Path]:
    """Return the files named like feature files of any recipe, sorted, without opening any."""
    return [folder / name for name in sorted(_names(folder)) if _NAME.fullmatch(name)]


def recipes(folder: Path) -> list[Recipe]:
    """Return the recipes of a folder's good files, reading the header of one file for each recipe."""
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


def mixed_recipes_message(folder: Path, found: Sequence[Recipe]) -> str:
    """Return the message about a folder with files of several recipes."""
    first, second = found[:2]
    return (
        f"{folder} holds files of {len(found)} recipes, such as {first.fingerprint()} and "
        f"{second.fingerprint()} ({first.differences(second)}): move the files of all but one elsewhere"
    )


def _names(folder: Path) -> list[str]:
    """Return the sorted names of safetensors files; no `Path` is made of each of perhaps 100,000."""
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
