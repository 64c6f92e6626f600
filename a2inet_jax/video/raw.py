"""Frames of a headerless file, which are bytes alone: size and pixel format come from the data set.

The bundled ffmpeg converts them to RGB, as it does all video that says nothing on its colours: BT.601, and
full range for the `yuvj` formats only.
"""

import math
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from a2inet_jax.errors import VideoError
from a2inet_jax.video.frame_pipe import FramePipe
from a2inet_jax.video.info import VideoInfo, check_indices, check_side, readable_bytes
from a2inet_jax.video.raw_format import RawFormat

# Suffixes of files that can't be read without a `RawFormat`.
HEADERLESS = (".yuv", ".rgb", ".raw")
# Pixel format → bytes of a sample; for each plane, the samples that a block of so many columns × rows of
# pixels has.
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
for _name, _columns, _rows in (("420", 2, 2), ("422", 2, 1), ("444", 1, 1)):
    _planes = [(1, 1, 1), (1, _columns, _rows), (1, _columns, _rows)]
    _PLANES[f"yuv{_name}p"] = _PLANES[f"yuvj{_name}p"] = (1, _planes)
    for _bits in (10, 12, 16):
        _PLANES[f"yuv{_name}p{_bits}le"] = (2, _planes)


class RawDecoder:
    """Reads one headerless video: the frames that are asked for, and no byte more.

    Attributes:
      path: the video.
      info: number of frames, their size and times.
    """

    def __init__(self, path: Path, raw: RawFormat) -> None:
        """See whether the file holds whole frames.

        Args:
          path: the video.
          raw: how its frames lie in it.

        Raises:
          VideoError: it can't be read, doesn't hold whole frames, or the pixel format is not known.
        """
        self.path = path
        self._raw = raw
        size = readable_bytes(path)
        self._frame_bytes = _frame_bytes(path, raw)
        frames, rest = divmod(size, self._frame_bytes)
        if rest:
            raise VideoError(
                path,
                f"holds {frames} whole frames of {raw.width}×{raw.height} {raw.pixel_format} "
                f"({self._frame_bytes} bytes each) and {rest} bytes more. Correct the size or the pixel "
                f"format, or accept what is whole: head -c {frames * self._frame_bytes} FILE > COPY.yuv",
            )
        check_side(path, raw.height, raw.width)
        self.info = VideoInfo(frames, raw.height, raw.width, np.arange(frames) / raw.frame_rate)

    def read(self, indices: Sequence[int]) -> Generator[np.ndarray, None, None]:
        """Read and convert frames.

        Args:
          indices: which ones, in ascending order.

        Yields:
          [height, width, 3] uint8 RGB for each index.

        Raises:
          VideoError: a frame doesn't exist, or the file shrank.
        """
        check_indices(self.path, indices, self.info.frames)
        raw = self._raw
        how = ["-f", "rawvideo", "-pixel_format", raw.pixel_format]
        how += ["-video_size", f"{raw.width}x{raw.height}", "-i", "pipe:0"]

        def feed(pipe: IO[bytes]) -> None:
            with self.path.open("rb") as file:
                for index in indices:
                    file.seek(index * self._frame_bytes)
                    pipe.write(file.read(self._frame_bytes))

        # ffmpeg gives its first frame when it has taken several: they come from a thread.
        with FramePipe(how, raw.height, raw.width, feed) as pipe:
            for index in indices:
                frame = pipe.next()
                if frame is None:
                    raise VideoError(self.path, f"can't be read near frame {index}")
                yield frame


def _frame_bytes(path: Path, raw: RawFormat) -> int:
    if raw.pixel_format not in _PLANES:
        raise VideoError(
            path,
            f"is said to have the pixel format {raw.pixel_format!r}; known are "
            f"{', '.join(sorted(_PLANES))}",
        )
    sample, planes = _PLANES[raw.pixel_format]
    # Where chroma is shared by two pixels and a side is odd, the last pixel has its own.
    return sample * sum(
        samples * math.ceil(raw.width / columns) * math.ceil(raw.height / rows)
        for samples, columns, rows in planes
    )
