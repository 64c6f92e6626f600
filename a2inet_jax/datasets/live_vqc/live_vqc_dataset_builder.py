"""TFDS index of LIVE-VQC."""

from pathlib import Path

from a2inet_jax.datasets import label_file
from a2inet_jax.datasets.builder import LabelledBuilder
from a2inet_jax.datasets.scan import ListedVideo


class Builder(LabelledBuilder):
    """Builder that identifies a video by its file name, such as `A001`."""

    LABEL_FILES = ("data.mat", "LIVE-VQC.csv", "LIVE_VQC.txt", "labels.csv", "labels.txt")

    def expected_path(self, name: str, video_id: str) -> str:
        """Return the path in the distribution."""
        return f"Video/{video_id}.mp4"

    def read_label_file(self, file: Path) -> list[ListedVideo]:
        """Read `video_list` and `mos` of `data.mat`, or the rows of another label file."""
        if file.suffix.lower() != ".mat":
            return super().read_label_file(file)
        rows = label_file.read_mat_rows(file, {"video": ("video_list",), "mos": ("mos",)})
        return [ListedVideo(row, row.text("video"), row.number_in("mos")) for row in rows]
