"""TFDS index of CVD2014."""

import re
from pathlib import PurePosixPath

from a2inet_jax.datasets.builder import LabelledBuilder
from a2inet_jax.datasets.scan import stem
from a2inet_jax.errors import DataError


class Builder(LabelledBuilder):
    """Builder that identifies a video by test, scene and camera, which are in its file name."""

    LABEL_FILES = (
        "Realignment_MOS.csv",
        "Realignment_MOS.xlsx",
        "CVD2014.csv",
        "CVD2014.txt",
        "labels.csv",
        "labels.txt",
    )

    def video_id(self, name: str) -> str:
        """Return an id such as `Test1/Talking_head/Test01_Talking_Head_D01` for any spelling of the name."""
        match = re.fullmatch(r"test0?(\d)_([a-z]+(?:_[a-z]+)*)_d0?(\d+)", stem(name).lower())
        if not match:
            raise DataError(
                f"{name!r} is not the name of a CVD2014 video, such as Test01_City_D01.avi"
            )
        test, scene, camera = int(match[1]), match[2], int(match[3])
        file = f"Test{test:02}_{scene.title()}_D{camera:02}"
        return f"Test{test}/{scene.capitalize()}/{file}"

    def content_id(self, video_id: str) -> str:
        """Return the scene within its test: each test shot its scenes again."""
        return PurePosixPath(video_id).parent.as_posix()

    def expected_path(self, name: str, video_id: str) -> str:
        """Return the path in the distribution."""
        return f"{video_id}.avi"
