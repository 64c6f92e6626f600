"""How the frames of a headerless file lie in it: what a data set must say of raw video."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class RawFormat:
    """How frames lie in a file that has no header, one after the other.

    Attributes:
      width: of a frame, pixels.
      height: of a frame, pixels.
      pixel_format: ffmpeg's name, such as "yuv420p"; "yuvj420p" is the same in full range.
      frame_rate: frames a second.
    """

    width: int
    height: int
    pixel_format: str = "yuv420p"
    frame_rate: float = 30.0

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"a raw frame can't be {self.width}×{self.height} pixels")
        if not 0 < self.frame_rate < math.inf:
            raise ValueError(f"the frame rate must be above 0, is {self.frame_rate}")
        if not self.pixel_format:
            raise ValueError("the pixel format of a raw video is empty; yuv420p is a usual one")
