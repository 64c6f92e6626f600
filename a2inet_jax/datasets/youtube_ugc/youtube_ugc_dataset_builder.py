"""TFDS index of YouTube-UGC."""

import re
from pathlib import Path

from a2inet_jax.datasets import label_file
from a2inet_jax.datasets.builder import NAMES, LabelledBuilder
from a2inet_jax.datasets.folder import stem
from a2inet_jax.datasets.scan import Label

# The sheet has labels of ten-second parts beside those of whole videos.
_MOS = ("mos full", "mosfull", "mos")


class Builder(LabelledBuilder):
    """A video is known by category, resolution and number: `Animation_1080P-01b3`."""

    LISTS = (
        "MOS_for_YouTube_UGC_dataset.xlsx",
        "original_videos_MOS_for_YouTube_UGC_dataset.xlsx",
        "MOS_for_YouTube_UGC_dataset.csv",
        "original_videos_MOS_for_YouTube_UGC_dataset.csv",
        "YouTube-UGC.csv",
        "YouTubeUGC.txt",
        "labels.csv",
        "labels.txt",
    )

    def identify(self, name: str) -> str:
        """The name without what the H.264 copies have behind it: `_crf_10_ss_00_t_20.0`."""
        return re.sub(r"_crf_\d+_ss_\d+_t_[\d.]+$", "", stem(name))

    def expected(self, name: str, video_id: str) -> str:
        """As the distribution has the originals."""
        return re.sub(r"^([A-Za-z]+)_(\d+P)-.*", r"\1/\2/\g<0>.mkv", video_id)

    def listed(self, file: Path) -> list[Label]:
        """All rows; where the column of the label is empty, the label stays open."""
        return [
            Label(row, row.text(*NAMES), None if row.empty(*_MOS) else row.number_in(*_MOS))
            for row in label_file.rows(file, sheet="MOS")
        ]
