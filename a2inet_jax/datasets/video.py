"""A video file, with or without its label: the form that every data set is read into."""

import errno
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from a2inet_jax.video.raw import RawFormat


@dataclass(frozen=True)
class VideoFile:
    """A video file; `raw` is the layout of the frames if it has no header."""

    video_id: str  # unique in its data set
    path: Path
    raw: RawFormat | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Video(VideoFile):
    """A video file and its label.

    Attributes:
        mos: The label on the data set's own scale; larger is better.
        reference_id: The content. Videos made from one source share it, and splits by content keep them
            together.
        subset: The subset that the data set itself puts the video into, "train" or "test"; "" if it defines
            none.
        distortion: The kind of distortion, where the data set has one; else "".
    """

    mos: float
    reference_id: str
    subset: str = field(default="", kw_only=True)
    distortion: str = field(default="", kw_only=True)


def file_exists(path: Path) -> bool:
    """Return whether `path` is a file; a path too long for the file system is none."""
    try:
        return path.is_file()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False


def missing_videos(videos: Sequence[Video]) -> list[Video]:
    """Return the videos whose file does not exist."""
    return [video for video in videos if not file_exists(video.path)]
