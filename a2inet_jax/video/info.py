"""Properties of a video that are known before its frames are read, and checks of files and requests."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from a2inet_jax.errors import VideoError

MIN_SIDE_PX = 32
NO_VIDEO_STREAM = "cannot be decoded: no video stream can be read from it. Is it a video?"


@dataclass(frozen=True)
class VideoInfo:
    """Size in pixels, after rotation, and times of the frames that a video shows.

    `timestamps` are in seconds, [frames] float64.
    """

    height: int
    width: int
    timestamps: np.ndarray

    @property
    def num_frames(self) -> int:
        """Number of frames that are shown."""
        return len(self.timestamps)


def check_frame_size(path: Path, height: int, width: int) -> None:
    """Raise VideoError if frames are too small for any use."""
    if min(height, width) < MIN_SIDE_PX:
        raise VideoError(
            path, f"has frames of {width}×{height} pixels: at least {MIN_SIDE_PX} a side are needed"
        )


def check_indices(path: Path, indices: Sequence[int], frames: int) -> None:
    """Raise VideoError unless all of the ascending `indices` are below `frames`."""
    if not 0 <= indices[0] <= indices[-1] < frames:
        raise VideoError(path, f"has {frames} frames, but index {indices[-1]} was requested")


def checked_file_size(path: Path) -> int:
    """Return the size of a file in bytes, at least 1, after checking that it can be read.

    Raises:
        VideoError: The file is missing, a folder or pipe, empty or not readable.
    """
    try:
        if path.is_dir():
            raise VideoError(path, "is a folder, not a video")
        # Opening a pipe would block until another process writes into it.
        if path.exists() and not path.is_file():
            raise VideoError(path, "is not a file")
        with path.open("rb"):
            size = path.stat().st_size
    except FileNotFoundError:
        raise VideoError(path, "does not exist") from None
    except OSError as error:
        raise VideoError(path, f"cannot be read ({error.strerror})") from None
    if size == 0:
        raise VideoError(path, "is empty")
    return size
