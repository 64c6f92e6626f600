"""A store: a folder with one network's features of videos, one safetensors file a video, in float16.

The files are the truth; there is no index beside them. The header of each has the recipe, the source and
checksums. A file is written under a temporary name and renamed when it is complete, so that it is there
entirely or not at all, even if its writer is killed. Several processes may write to one store, on one machine
or on several that share the folder.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

from a2inet_jax import files
from a2inet_jax.errors import StoreError, VersionError
from a2inet_jax.features.recipe import Recipe
from a2inet_jax.features.record import (
    REMEDY,
    SUFFIX,
    Record,
    VideoFeatures,
    encode,
    file_name,
    read_features,
    read_record,
)

_STORE_NAME = re.compile(r".+-[0-9a-f]{16}")
# Files of versions whose stores held the features of two networks.
_OLD_NAME = re.compile(r".+\.[0-9a-f]{16}\.safetensors")


class Store:
    """The features that one recipe gives, in a folder named after the recipe."""

    def __init__(self, parent: Path, recipe: Recipe) -> None:
        """Open the store of a recipe in a folder of stores; it is made with the first file.

        Raises:
            StoreError: A file has its name, or `parent` holds feature files of an earlier version.
        """
        self.folder = parent / recipe.folder_name()
        self.recipe = recipe
        for folder in (parent, self.folder):
            if folder.exists() and not folder.is_dir():
                raise StoreError(f"{folder} is a file: name a folder")
        _refuse_old_files(parent)

    @classmethod
    def existing(cls, folder: Path) -> Self:
        """Open a store, and take its recipe from its files.

        Raises:
            VersionError: Another version wrote its files.
            StoreError: There is no good file.
        """
        problem = StoreError(
            f"{folder} holds no good feature file: name a folder that `a2inet extract` wrote"
        )
        resolved = folder.resolve()
        for path in feature_files(folder):
            try:
                recipe = read_record(path).recipe
            except VersionError as error:
                problem = error
            except (StoreError, OSError):
                continue
            else:
                if recipe.folder_name() == resolved.name:
                    is_named = folder.name == resolved.name
                    return cls(folder.parent if is_named else resolved.parent, recipe)
        raise problem

    def path(self, video_id: str) -> Path:
        """Return the path of a video's feature file, whether it exists or not."""
        return self.folder / file_name(video_id)

    def write(
        self, video_id: str, features: VideoFeatures, source: str, source_sha256: str = ""
    ) -> None:
        """Write a video's features, replacing any that are there; equal ones give equal bytes.

        Args:
            video_id: Id of the video.
            features: Of this store's recipe.
            source: Signature of the video file, such as its size; a different file of the same name
                has a different one.
            source_sha256: SHA-256 of the video file; "" if it is unknown.

        Raises:
            OSError: The folder cannot be written, or the disk is full; nothing incomplete is left.
        """
        content = encode(video_id, self.recipe, features, source, source_sha256)
        files.write(self.path(video_id), content)

    def sweep(self) -> list[Path]:
        """Remove the temporary files of killed writers, and return them; living writers are not disturbed."""
        return files.sweep(self.folder)

    def read(self, video_id: str, verify: bool = True) -> VideoFeatures:
        """Read the features of one video, and `verify` their checksum.

        Raises:
            FileNotFoundError: They have not been extracted.
            StoreError: The file is damaged, of another recipe or of another video.
        """
        record = self.record(video_id)
        features = read_features(record.path)
        if verify and features.content_sha256() != record.content_sha256:
            raise StoreError(
                f"{record.path} holds other bytes than were written: the SHA-256 differs: {REMEDY}"
            )
        return features

    def record(self, video_id: str) -> Record:
        """Return the record of one video, from its file's header alone; raises the errors of `read`."""
        path = self.path(video_id)
        if not path.exists():
            raise FileNotFoundError(
                f"video {video_id!r} has no features of {self.recipe.backbone} yet: run `a2inet extract`"
            )
        record = self._checked(path)
        if record.video_id != video_id:
            raise StoreError(
                f"{path} holds the features of {record.video_id!r}, not of {video_id!r}"
            )
        return record

    def missing(self, video_ids: Iterable[str]) -> list[str]:
        """Return the videos without a feature file, in the order given."""
        present = set(_names(self.folder))
        return [video_id for video_id in video_ids if file_name(video_id) not in present]

    def manifest(self) -> list[Record]:
        """Return the records of all videos, read from the files' headers and sorted by video id.

        Raises:
            StoreError: A file is damaged or of another recipe.
        """
        records = [self._checked(path) for path in feature_files(self.folder)]
        return sorted(records, key=lambda record: record.video_id)

    def _checked(self, path: Path) -> Record:
        record = read_record(path)
        if record.recipe != self.recipe:
            raise StoreError(
                f"{path} was extracted with recipe {record.recipe.fingerprint()}, but recipe "
                f"{self.recipe.fingerprint()} is needed ({self.recipe.differences(record.recipe)}): "
                "move it to the store of its recipe, or remove it"
            )
        return record


def open_stores(parent: Path, recipes: Mapping[str, Recipe]) -> dict[str, Store]:
    """Open the store of each stream; streams of equal recipes have the same one."""
    return {stream: Store(parent, recipe) for stream, recipe in recipes.items()}


def matching_records(stores: Sequence[Store], video_id: str) -> list[Record]:
    """Return a video's record in each of several stores.

    Raises:
        FileNotFoundError: A store has no features of it.
        StoreError: A file cannot be used, or the files are of different frames or video files.
    """
    records = [store.record(video_id) for store in stores]
    first = records[0]
    for other in records[1:]:
        kind = ""
        if other.frames_sha256 != first.frames_sha256:
            kind = "different frames"
        elif other.source_sha256 and first.source_sha256 not in ("", other.source_sha256):
            kind = "different files"
        if kind:
            raise StoreError(
                f"{first.path} and {other.path} hold features of {kind} of video {video_id!r}: "
                "remove both and run `a2inet extract`"
            )
    return records


def find_stores(folder: Path) -> list[Path]:
    """Return the folder itself if it is a store, else all stores in it, sorted.

    Raises:
        StoreError: There is no such folder, or no store in it.
    """
    if not folder.is_dir():
        raise StoreError(f"{folder} is not a folder: name one that `a2inet extract` wrote")
    if _STORE_NAME.fullmatch(folder.resolve().name):
        return [folder]
    _refuse_old_files(folder)
    found = []
    for path, folders, _ in os.walk(folder):
        stores = [name for name in folders if _STORE_NAME.fullmatch(name)]
        found += [Path(path, name) for name in stores if _names(Path(path, name))]
        folders[:] = [name for name in folders if name not in stores]
    if not found:
        raise StoreError(
            f"{folder} holds no feature files: name a folder that `a2inet extract` wrote"
        )
    return sorted(found)


def feature_files(folder: Path) -> list[Path]:
    """Return the feature files of a store, sorted, without opening any."""
    return [folder / name for name in _names(folder)]


def _names(folder: Path) -> list[str]:
    """Return the sorted names of feature files; no `Path` is made of each of perhaps 100,000."""
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith(SUFFIX))
    except FileNotFoundError:
        return []


def _refuse_old_files(folder: Path) -> None:
    for name in _names(folder):
        if _OLD_NAME.fullmatch(name):
            raise VersionError(
                f"{folder / name} was written by an earlier version of a2inet_jax: take another folder, or "
                "move such files away and run `a2inet extract`"
            )
