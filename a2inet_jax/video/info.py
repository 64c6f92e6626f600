"""What is known of a video before its frames are read, and the error for one that can't be used."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from a2inet_jax.errors import VideoError

MIN_SIDE = 32


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video before its frames are read.

    Attributes:
      frames: number of frames that are shown.
      height: of a frame, pixels, rotation applied.
      width: of a frame, pixels, rotation applied.
      timestamps: when each frame is shown, seconds, [frames] float64.
    """

    frames: int
    height: int
    width: int
    timestamps: np.ndarray


def check_side(path: Path, height: int, width: int) -> None:
    """Raise VideoError where frames are too small for any use."""
    if min(height, width) < MIN_SIDE:
        raise VideoError(
            path, f"frames of {width}×{height} pixels: at least {MIN_SIDE} a side are needed"
        )


def check_indices(path: Path, indices: Sequence[int], frames: int) -> None:
    """Raise VideoError where ascending indices reach beyond a video of so many frames."""
    if not 0 <= indices[0] <= indices[-1] < frames:
        raise VideoError(path, f"has {frames} frames, asked for {indices[-1]}")


def readable_bytes(path: Path) -> int:
    """Size of a file, which must exist, be readable and hold something.

    Args:
      path: said to be a video.

    Returns:
      Bytes, at least 1.

    Raises:
      VideoError: it is missing, a folder or pipe, empty or not readable.
    """
    try:
        if path.is_dir():
            raise VideoError(path, "is a folder, not a video")
        # To open a pipe would be to wait for who writes into it.
        if path.exists() and not path.is_file():
            raise VideoError(path, "is not a file")
        with path.open("rb"):
            size = path.stat().st_size
    except FileNotFoundError:
        raise VideoError(path, "does not exist") from None
    except OSError as error:
        raise VideoError(path, f"can't be read ({error.strerror})") from None
    if size == 0:
        raise VideoError(path, "is empty")
    return size
