"""TFDS index of LIVE-VQC."""

from pathlib import Path

from a2inet_jax.datasets import label_file
from a2inet_jax.datasets.builder import LabelledBuilder
from a2inet_jax.datasets.label_file import Row
from a2inet_jax.datasets.scan import Label


class Builder(LabelledBuilder):
    """A video is known by its file's name, such as `A001`."""

    LISTS = ("data.mat", "LIVE-VQC.csv", "LIVE_VQC.txt", "labels.csv", "labels.txt")

    def expected(self, name: str, video_id: str) -> str:
        """As the distribution has it."""
        return f"Video/{video_id}.mp4"

    def listed(self, file: Path) -> list[Label]:
        """The rows of `data.mat`, with its variables `video_list` and `mos`, or of another list."""
        if file.suffix.lower() != ".mat":
            return super().listed(file)
        columns = {"video": ("video_list",), "mos": ("mos",)}
        rows: list[Row] = label_file.columns(file, columns)
        return [Label(row, row.text("video"), row.number_in("mos")) for row in rows]
