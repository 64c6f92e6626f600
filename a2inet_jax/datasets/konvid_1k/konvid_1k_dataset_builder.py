"""TFDS index of KoNViD-1k."""

import re

from a2inet_jax.datasets.builder import LabelledBuilder
from a2inet_jax.datasets.scan import stem
from a2inet_jax.errors import DataError


class Builder(LabelledBuilder):
    """Builder that identifies a video by its Flickr number, with which every generation of names begins."""

    LABEL_FILES = (
        "KoNViD_1k_mos.csv",
        "KoNViD_1k_attributes.csv",
        "KoNViD-1k.csv",
        "KoNViD.txt",
        "labels.csv",
        "labels.txt",
    )

    def video_id(self, name: str) -> str:
        """Return the number with which a name begins: `123_cut_centercrop_960x540_8s.mp4` or `123.mp4`."""
        number = re.match(r"\d+(?![^_])", stem(name))
        if not number:
            raise DataError(f"{name!r} does not begin with the number of a KoNViD-1k video")
        return number[0]

    def expected_path(self, name: str, video_id: str) -> str:
        """Return the path in today's archive, whatever the label file calls the video."""
        return f"KoNViD_1k_videos/{video_id}.mp4"
