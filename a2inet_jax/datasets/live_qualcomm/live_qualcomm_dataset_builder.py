"""TFDS index of LIVE-Qualcomm."""

import re
from pathlib import Path

from a2inet_jax.datasets import label_file
from a2inet_jax.datasets.builder import LabelledBuilder
from a2inet_jax.datasets.folder import stem
from a2inet_jax.datasets.label_file import Row
from a2inet_jax.datasets.scan import Label
from a2inet_jax.video.raw_format import RawFormat


class Builder(LabelledBuilder):
    """A video is known by its file's name, which tells day, scene and phone."""

    LISTS = (
        "qualcommSubjectiveData.mat",
        "LIVE-Qualcomm.csv",
        "LIVE_Qualcomm.txt",
        "labels.csv",
        "labels.txt",
    )
    SUFFIXES = frozenset({".yuv"})
    RAW = RawFormat(1920, 1080, "yuv420p", frame_rate=30.0)

    def content(self, video_id: str) -> str:
        """The scene in lower case: `0723_ManUnderTree_GS5_…` and `0911driving_5s_…` have both spellings."""
        scene = re.match(r"\d{4}_?([a-z]\w*?)_", video_id.lower())
        return scene[1] if scene else video_id

    def expected(self, name: str, video_id: str) -> str:
        """In the folder of its distortion, which lists name."""
        return f"{name.removesuffix('.yuv')}.yuv"

    def listed(self, file: Path) -> list[Label]:
        """The rows of `qualcommSubjectiveData.mat` or of another list."""
        if file.suffix.lower() != ".mat":
            return super().listed(file)
        columns = {
            "video": ("qualcommVideoData", "vidNames"),
            "type": ("qualcommVideoData", "distortionType"),
            "mos": ("qualcommSubjectiveData", "unBiasedMOS"),
        }
        rows: list[Row] = label_file.columns(file, columns)
        folders = label_file.field(
            file, label_file.mat(file), "qualcommVideoData", "distortionNames"
        )
        labels = []
        for row in rows:
            number = int(row.number_in("type"))  # counted from 1, as MATLAB does
            if not 1 <= number <= len(folders):
                raise row.error(f"there is no distortion number {number}")
            name = f"{folders[number - 1]}/{stem(row.text('video'))}.yuv"
            labels.append(Label(row, name, row.number_in("mos")))
        return labels
