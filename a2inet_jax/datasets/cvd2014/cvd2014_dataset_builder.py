"""TFDS index of CVD2014."""

import re
from pathlib import PurePosixPath

from a2inet_jax.datasets.builder import LabelledBuilder
from a2inet_jax.datasets.folder import stem


class Builder(LabelledBuilder):
    """A video is known by test, scene and camera, which its file's name tells."""

    LISTS = (
        "Realignment_MOS.csv",
        "Realignment_MOS.xlsx",
        "CVD2014.csv",
        "CVD2014.txt",
        "labels.csv",
        "labels.txt",
    )

    def identify(self, name: str) -> str:
        """`Test1/Talking_head/Test01_Talking_Head_D01` for any spelling of its last part."""
        parts = re.fullmatch(r"test0?(\d)_([a-z]+(?:_[a-z]+)*)_d0?(\d+)", stem(name).lower())
        if not parts:
            raise ValueError(
                f"{name!r} is not the name of a CVD2014 video, such as Test01_City_D01.avi"
            )
        test, scene, camera = int(parts[1]), parts[2], int(parts[3])
        file = f"Test{test:02}_{scene.title()}_D{camera:02}"
        return f"Test{test}/{scene.capitalize()}/{file}"

    def content(self, video_id: str) -> str:
        """The scene within its test: each test shot its scenes anew."""
        return PurePosixPath(video_id).parent.as_posix()

    def expected(self, name: str, video_id: str) -> str:
        """As the distribution has it."""
        return f"{video_id}.avi"
