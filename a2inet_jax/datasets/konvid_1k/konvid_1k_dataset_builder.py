"""TFDS index of KoNViD-1k."""

import re

from a2inet_jax.datasets.builder import LabelledBuilder
from a2inet_jax.datasets.folder import stem


class Builder(LabelledBuilder):
    """A video is known by its number at Flickr, which all generations of file names begin with."""

    LISTS = (
        "KoNViD_1k_mos.csv",
        "KoNViD_1k_attributes.csv",
        "KoNViD-1k.csv",
        "KoNViD.txt",
        "labels.csv",
        "labels.txt",
    )

    def identify(self, name: str) -> str:
        """The number that a name such as `123_cut_centercrop_960x540_8s.mp4` or `123.mp4` begins with."""
        number = re.match(r"\d+(?![^_])", stem(name))
        if not number:
            raise ValueError(f"{name!r} does not begin with the number of a KoNViD-1k video")
        return number[0]

    def expected(self, name: str, video_id: str) -> str:
        """As the archive of videos has it today, whatever the list calls it."""
        return f"KoNViD_1k_videos/{video_id}.mp4"
