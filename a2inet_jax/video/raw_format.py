"""Frame size, pixel format and frame rate of a headerless video file, as a data set gives them."""

import math
from dataclasses import dataclass

from a2inet_jax.errors import DataError


@dataclass(frozen=True)
class RawFormat:
    """Layout of a file that has no header and holds one frame after the other.

    Attributes:
        width: Of a frame, in pixels.
        height: Of a frame, in pixels.
        pixel_format: ffmpeg's name, such as "yuv420p"; "yuvj420p" is the same in full range.
        frame_rate: Frames per second.

    Raises:
        DataError: A value is impossible.
    """

    width: int
    height: int
    pixel_format: str = "yuv420p"
    frame_rate: float = 30.0

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise DataError(f"a raw frame cannot be {self.width}×{self.height} pixels")
        if not 0 < self.frame_rate < math.inf:
            raise DataError(f"the frame rate must be above 0 and finite, not {self.frame_rate}")
        if not self.pixel_format:
            raise DataError(
                "the pixel format of a raw video is empty; the most common one is yuv420p"
            )
