"""TFDS index of LIVE-Qualcomm."""

import re
from pathlib import Path

from a2inet_jax.datasets import label_file
from a2inet_jax.datasets.builder import LabelledBuilder
from a2inet_jax.datasets.scan import ListedVideo, stem
from a2inet_jax.video.raw import RawFormat


class Builder(LabelledBuilder):
    """Builder that identifies a video by its file name, which contains day, scene and phone."""

    LABEL_FILES = (
        "qualcommSubjectiveData.mat",
        "LIVE-Qualcomm.csv",
        "LIVE_Qualcomm.txt",
        "labels.csv",
        "labels.txt",
    )
    SUFFIXES = frozenset({".yuv"})
    RAW_FORMAT = RawFormat(1920, 1080, "yuv420p", frame_rate=30.0)

    def content_id(self, video_id: str) -> str:
        """Return the scene in lower case; names are like `0723_ManUnderTree_GS5_…` or `0911driving_5s_…`."""
        scene = re.match(r"\d{4}_?([a-z]\w*?)_", video_id.lower())
        return scene[1] if scene else video_id

    def expected_path(self, name: str, video_id: str) -> str:
        """Return the path in the distribution: label files include the folder, which is the distortion."""
        return f"{name.removesuffix('.yuv')}.yuv"

    def read_label_file(self, file: Path) -> list[ListedVideo]:
        """Read the rows of `qualcommSubjectiveData.mat` or of another label file."""
        if file.suffix.lower() != ".mat":
            return super().read_label_file(file)
        columns = {
            "video": ("qualcommVideoData", "vidNames"),
            "type": ("qualcommVideoData", "distortionType"),
            "mos": ("qualcommSubjectiveData", "unBiasedMOS"),
        }
        rows = label_file.read_mat_rows(file, columns)
        folders = label_file.mat_list(
            file, label_file.read_mat(file), "qualcommVideoData", "distortionNames"
        )
        videos = []
        for row in rows:
            # MATLAB counts from 1.
            number = int(row.number_in("type"))
            if not 1 <= number <= len(folders):
                raise row.error(f"there is no distortion number {number}")
            name = f"{folders[number - 1]}/{stem(row.text('video'))}.yuv"
            videos.append(ListedVideo(row, name, row.number_in("mos")))
        return videos
