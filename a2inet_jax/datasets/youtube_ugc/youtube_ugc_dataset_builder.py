"""TFDS index of YouTube-UGC."""

import re
from pathlib import Path

from a2inet_jax.datasets import label_file
from a2inet_jax.datasets.builder import NAME_COLUMNS, LabelledBuilder
from a2inet_jax.datasets.scan import ListedVideo, stem

# The sheet also has labels of ten-second chunks, in other columns.
_MOS_COLUMNS = ("mos full", "mosfull", "mos")


class Builder(LabelledBuilder):
    """Builder that identifies a video by category, resolution and number: `Animation_1080P-01b3`."""

    LABEL_FILES = (
        "MOS_for_YouTube_UGC_dataset.xlsx",
        "original_videos_MOS_for_YouTube_UGC_dataset.xlsx",
        "MOS_for_YouTube_UGC_dataset.csv",
        "original_videos_MOS_for_YouTube_UGC_dataset.csv",
        "YouTube-UGC.csv",
        "YouTubeUGC.txt",
        "labels.csv",
        "labels.txt",
    )

    def video_id(self, name: str) -> str:
        """Return the name without the ending of the H.264 copies, `_crf_10_ss_00_t_20.0`."""
        return re.sub(r"_crf_\d+_ss_\d+_t_[\d.]+$", "", stem(name))

    def expected_path(self, name: str, video_id: str) -> str:
        """Return the path of the original in the distribution."""
        return re.sub(r"^([A-Za-z]+)_(\d+P)-.*", r"\1/\2/\g<0>.mkv", video_id)

    def read_label_file(self, file: Path) -> list[ListedVideo]:
        """Read all rows; an empty label becomes None."""
        return [
            ListedVideo(
                row,
                row.text(*NAME_COLUMNS),
                None if row.is_empty(*_MOS_COLUMNS) else row.number_in(*_MOS_COLUMNS),
            )
            for row in label_file.read_rows(file, sheet="MOS")
        ]
