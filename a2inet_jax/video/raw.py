"""Headerless video files: their layout, which comes from the data set, and their frames.

The bundled ffmpeg converts them to RGB as it does all video without colour metadata: as BT.601, and in full
range for the `yuvj` formats only.
"""

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from a2inet_jax.errors import DataError, VideoError
from a2inet_jax.video.ffmpeg import FramePipe
from a2inet_jax.video.info import VideoInfo, check_frame_size, check_indices, checked_file_size

# Suffixes of files that cannot be read without a `RawFormat`.
HEADERLESS_SUFFIXES = (".yuv", ".rgb", ".raw")
# Pixel format → bytes per sample, and a (samples, columns, rows) entry for each plane: the number of samples
# that the plane has for a block of that many columns × rows of pixels.
_PLANES: dict[str, tuple[int, list[tuple[int, int, int]]]] = {
    "gray": (1, [(1, 1, 1)]),
    "nv12": (1, [(1, 1, 1), (2, 2, 2)]),
    "nv21": (1, [(1, 1, 1), (2, 2, 2)]),
    "yuyv422": (1, [(4, 2, 1)]),
    "uyvy422": (1, [(4, 2, 1)]),
    "rgb24": (1, [(3, 1, 1)]),
    "bgr24": (1, [(3, 1, 1)]),
    "p010le": (2, [(1, 1, 1), (2, 2, 2)]),
}
for _subsampling, _columns, _rows in (("420", 2, 2), ("422", 2, 1), ("444", 1, 1)):
    _planes = [(1, 1, 1), (1, _columns, _rows), (1, _columns, _rows)]
    _PLANES[f"yuv{_subsampling}p"] = _PLANES[f"yuvj{_subsampling}p"] = (1, _planes)
    for _bits in (10, 12, 16):
        _PLANES[f"yuv{_subsampling}p{_bits}le"] = (2, _planes)


@dataclass(frozen=True)
class RawFormat:
    """Layout of a file that has no header and holds one frame after the other, sizes in pixels.

    `pixel_format` is ffmpeg's name, such as "yuv420p"; "yuvj420p" is the same in full range.

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


class RawDecoder:
    """Reader of one headerless video, of which it reads only the bytes of the requested frames.

    `info` has number, size and times of its frames.
    """

    def __init__(self, path: Path, raw: RawFormat) -> None:
        """Check that the file holds whole frames.

        Raises:
            VideoError: The file cannot be read or does not hold whole frames, or the pixel format is
                unknown.
        """
        self.path = path
        self._raw = raw
        size = checked_file_size(path)
        self._frame_bytes = _frame_bytes(path, raw)
        frames, remainder = divmod(size, self._frame_bytes)
        if remainder:
            raise VideoError(
                path,
                f"holds {frames} whole frames of {raw.width}×{raw.height} {raw.pixel_format} "
                f"({self._frame_bytes} bytes each) and {remainder} more bytes. Correct the frame size or "
                "the pixel format, or keep only the whole frames: "
                f"head -c {frames * self._frame_bytes} FILE > COPY.yuv",
            )
        check_frame_size(path, raw.height, raw.width)
        self.info = VideoInfo(raw.height, raw.width, np.arange(frames) / raw.frame_rate)

    def read(self, indices: Sequence[int]) -> Generator[np.ndarray, None, None]:
        """Read frames, whose indices ascend, and convert them to RGB.

        Yields:
            [height, width, 3] uint8 RGB for each index.

        Raises:
            VideoError: A frame does not exist, or the file has shrunk.
        """
        check_indices(self.path, indices, self.info.num_frames)
        raw = self._raw
        input_options = ["-f", "rawvideo", "-pixel_format", raw.pixel_format]
        input_options += ["-video_size", f"{raw.width}x{raw.height}", "-i", "pipe:0"]

        def feed(pipe: IO[bytes]) -> None:
            with self.path.open("rb") as file:
                for index in indices:
                    file.seek(index * self._frame_bytes)
                    pipe.write(file.read(self._frame_bytes))

        # ffmpeg reads several frames before it writes the first, so a thread has to feed it.
        with FramePipe(input_options, raw.height, raw.width, feed) as pipe:
            for index in indices:
                frame_HxWx3 = pipe.next()
                if frame_HxWx3 is None:
                    raise VideoError(self.path, f"cannot be read near frame {index}")
                yield frame_HxWx3


def _frame_bytes(path: Path, raw: RawFormat) -> int:
    if raw.pixel_format not in _PLANES:
        raise VideoError(
            path,
            f"has the unknown pixel format {raw.pixel_format!r} in its data set; known formats: "
            f"{', '.join(sorted(_PLANES))}",
        )
    sample_bytes, planes = _PLANES[raw.pixel_format]
    # Rounded up: at an odd side, the last pixel has a chroma sample of its own.
    return sample_bytes * sum(
        samples * math.ceil(raw.width / columns) * math.ceil(raw.height / rows)
        for samples, columns, rows in planes
    )
