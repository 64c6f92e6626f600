"""TFDS index of LSVQ: splits `train`, `test` and `test_1080p`, as its authors drew them."""

import re
from dataclasses import replace
from pathlib import PurePosixPath

from a2inet_jax.datasets import label_file
from a2inet_jax.datasets.builder import MOS, NAMES, LabelledBuilder
from a2inet_jax.datasets.folder import Folder
from a2inet_jax.datasets.label_file import Row
from a2inet_jax.datasets.scan import Label

_BOTH = ("labels_train_test.csv",)
_ONE_PART = {
    "train": ("labels_train.txt", "train_labels.txt"),
    "test": ("labels_test.txt",),
    "test_1080p": ("labels_test_1080p.csv", "labels_1080p.txt", "labels_test_1080p.txt"),
}


class Builder(LabelledBuilder):
    """A video is known by the folder and name of its file: `yfcc-batch1/725`."""

    SUFFIXES = frozenset({".mp4"})
    LISTS = (*_BOTH, *_ONE_PART["train"], *_ONE_PART["test"], *_ONE_PART["test_1080p"])

    def identify(self, name: str) -> str:
        """Folder and file, without `.mp4`, which some lists leave out."""
        folder = PurePosixPath(name).parent.name
        if not folder:
            raise ValueError(f"{name!r} has no folder, as names of LSVQ do: yfcc-batch1/725")
        return f"{folder}/{re.sub(r'[.]mp4$', '', PurePosixPath(name).name, flags=re.I)}"

    def expected(self, name: str, video_id: str) -> str:
        """As the distribution has it."""
        return f"{video_id}.mp4"

    def labels(self, folder: Folder) -> list[Label]:
        """The rows of the lists of all parts that are there, at least one."""
        found = []
        both = folder.first(_BOTH)
        if both:
            found += [
                Label(row, row.text(*NAMES), row.number_in(*MOS), _split(row))
                for row in label_file.rows(both)
            ]
        for split, lists in _ONE_PART.items():
            if (file := folder.first(lists)) and not (both and split != "test_1080p"):
                found += [replace(label, split=split) for label in self.listed(file)]
        if not found:
            raise self.no_list(folder)
        return found

    def part(self, split: str) -> str:
        """Both test parts are for testing."""
        return "train" if split == "train" else "test"


def _split(row: Row) -> str:
    told = row.text("is_test").lower()
    if told in ("true", "1"):
        return "test"
    if told in ("false", "0"):
        return "train"
    raise row.error(f"is_test is {told!r}, neither True nor False")
