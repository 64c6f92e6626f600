"""TFDS index of LSVQ, with the splits `train`, `test` and `test_1080p` that its authors drew."""

import re
from dataclasses import replace
from pathlib import PurePosixPath
from types import MappingProxyType

from a2inet_jax.datasets import label_file
from a2inet_jax.datasets.builder import MOS_COLUMNS, NAME_COLUMNS, LabelledBuilder
from a2inet_jax.datasets.label_file import LabelRow
from a2inet_jax.datasets.scan import Folder, ListedVideo
from a2inet_jax.errors import DataError

_TRAIN_TEST = ("labels_train_test.csv",)
_BY_SPLIT = {
    "train": ("labels_train.txt", "train_labels.txt"),
    "test": ("labels_test.txt",),
    "test_1080p": ("labels_test_1080p.csv", "labels_1080p.txt", "labels_test_1080p.txt"),
}


class Builder(LabelledBuilder):
    """Builder that identifies a video by folder and file name: `yfcc-batch1/725`."""

    SUFFIXES = frozenset({".mp4"})
    SUBSETS = MappingProxyType({"train": "train", "test": "test", "test_1080p": "test"})
    LABEL_FILES = (*_TRAIN_TEST, *_BY_SPLIT["train"], *_BY_SPLIT["test"], *_BY_SPLIT["test_1080p"])

    def video_id(self, name: str) -> str:
        """Return folder and file name without `.mp4`, which some label files omit."""
        folder = PurePosixPath(name).parent.name
        if not folder:
            raise DataError(f"{name!r} has no folder, as names of LSVQ do: yfcc-batch1/725")
        return f"{folder}/{re.sub(r'[.]mp4$', '', PurePosixPath(name).name, flags=re.I)}"

    def expected_path(self, name: str, video_id: str) -> str:
        """Return the path in the distribution."""
        return f"{video_id}.mp4"

    def read_labels(self, folder: Folder) -> list[ListedVideo]:
        """Read the label files of all splits that are there, at least one."""
        videos = []
        train_test = folder.first(_TRAIN_TEST)
        if train_test:
            videos += [
                ListedVideo(row, row.text(*NAME_COLUMNS), row.number_in(*MOS_COLUMNS), _split(row))
                for row in label_file.read_rows(train_test)
            ]
        for split, names in _BY_SPLIT.items():
            if (file := folder.first(names)) and not (train_test and split != "test_1080p"):
                videos += [replace(video, split=split) for video in self.read_label_file(file)]
        # If there is none, this raises.
        return videos or super().read_labels(folder)


def _split(row: LabelRow) -> str:
    is_test = row.text("is_test").lower()
    if is_test in ("true", "1"):
        return "test"
    if is_test in ("false", "0"):
        return "train"
    raise row.error(f"is_test is {is_test!r}, neither True nor False")
