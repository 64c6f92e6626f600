"""One video, and one labelled video: what every data set comes down to."""

import errno
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from a2inet_jax.video.raw_format import RawFormat


@dataclass(frozen=True)
class VideoFile:
    """A video file.

    Attributes:
      video_id: name of the video, unique in its data set.
      path: where the file is.
      raw: how frames lie in a file that has no header; None for every other.
    """

    video_id: str
    path: Path
    raw: RawFormat | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Video(VideoFile):
    """A video file and its label.

    Attributes:
      mos: the label on the data set's own scale, larger is better.
      reference_id: what the video shows. Videos made from one source share it, and a split never parts them.
      part: where the data set itself puts the video, such as "train" or "test"; "" if it leaves that open.
    """

    mos: float
    reference_id: str
    part: str = field(default="", kw_only=True)


def is_there(path: Path) -> bool:
    """Whether there is a file of this path; there is none where the path is too long for a file's."""
    try:
        return path.is_file()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False


def absent(videos: Sequence[Video]) -> list[Video]:
    """Those whose file is not there."""
    return [video for video in videos if not is_there(video.path)]
