"""Guarded decoding with decord: RGB frames that are right, or an error that names the file.

What decord gets wrong without raising, and what is done about it:

- Seeking lands on other frames in several codecs (MPEG-2, MPEG-4 part 2 with B-frames, WMV), and where the
  stream has no index. Frames are therefore decoded one after the other from the first, never sought.
- Streams without an index (MPEG transport, program and elementary streams, Ogg) are first copied, not
  re-encoded, into a container that has one, by the bundled ffmpeg.
- A frame that can't be decoded is replaced by its neighbour: decord is told to raise at the first of them.
- A file that was cut short ends where it was cut: compared with what its container declares, and refused.
- Frames that an edit list hides are counted: those with a negative time, left out here.
- A few narrow widths (16, 32, 48, 96) come out with a wrong number of channels: refused.

Quarter turns in the metadata are applied. Other display matrices are not honoured: mirrored video comes
out turned by 180°, oblique angles at the next quarter turn. Untagged colour is taken as BT.601, as in ffmpeg.
Where the frame size changes in mid-stream, frames are scaled to the first size, as in ffmpeg.
"""

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from a2inet_jax.video import container

MIN_SIDE = 32
# decord takes a share of the frames that may be replaced, and reads 0 as "any".
_NO_REPLACED_FRAMES = 1e-9


class VideoError(Exception):
    """A video can't be used. `path` and `reason` say which and why, and what to do."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = Path(path)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


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


class Decoder:
    """Reads one video from its first frame towards its last.

    Runs native code on bytes of unknown origin: to be used in a process that may die.
    """

    def __init__(self, path: Path, scratch: Path) -> None:
        """Open a video and decode its first frame.

        Args:
          path: the video.
          scratch: folder for a copy of a stream that has no index.

        Raises:
          VideoError: the file is no video, not whole, or too small.
        """
        self.path = path
        self._file = _playable(path, scratch)
        self._rewind()
        self._advance()
        height, width, channels = self._frame.shape
        size = f"{width}×{height} pixels"
        if min(height, width) < MIN_SIDE:
            raise VideoError(path, f"frames of {size}: at least {MIN_SIDE} a side are needed")
        if channels != 3:
            raise VideoError(
                path,
                f"frames of {size} come out of the decoder with {channels} channels. Change the width: "
                "ffmpeg -i FILE -vf scale=128:-2 COPY.mp4",
            )
        timestamps = _timestamps(self._reader)
        self.info = VideoInfo(len(timestamps), height, width, timestamps)

    def read(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        """Decode frames, and with the last of them all that follow.

        decord decodes ahead, as far as time permits; were the frames after the last index left alone, damage
        among them would be found on one day and not on another.

        Args:
          indices: which ones, in ascending order.

        Yields:
          [height, width, 3] uint8 RGB for each index.

        Raises:
          VideoError: a frame can't be decoded or doesn't exist, or the frames' size changes.
        """
        if not 0 <= indices[0] <= indices[-1] < self.info.frames:
            raise VideoError(self.path, f"has {self.info.frames} frames, asked for {indices[-1]}")
        if indices[0] < self._decoded - 1:
            self._rewind()
        for number, index in enumerate(indices, start=1):
            self._advance_to(index)
            frame = self._frame.asnumpy()
            if frame.shape != (self.info.height, self.info.width, 3):
                raise VideoError(self.path, f"changes its frame size at frame {index}")
            if number == len(indices):
                self._advance_to(self.info.frames - 1)
            yield frame

    def _rewind(self) -> None:
        # Imported here: the process that only needs the classes above stays free of the native library.
        import decord

        # AssertionError is how decord reports a count of no frames.
        self._failures = (
            RuntimeError,
            IndexError,
            AssertionError,
            decord.DECORDError,
            decord.DECORDLimitReachedError,
        )
        self._decoded = 0
        self._frame: Any = None
        try:
            # One thread: VP9 fails with more, and the machine's other cores have other work.
            self._reader = decord.VideoReader(
                str(self._file), num_threads=1, fault_tol=_NO_REPLACED_FRAMES
            )
        except self._failures as error:
            raise VideoError(
                self.path, f"holds no video that can be decoded ({_brief(error)})"
            ) from None

    def _advance_to(self, index: int) -> None:
        while self._decoded <= index:
            self._advance()

    def _advance(self) -> None:
        try:
            self._frame = self._reader.next()
        except StopIteration:
            raise VideoError(self.path, f"ends after {self._decoded} frames") from None
        except self._failures as error:
            raise VideoError(
                self.path, f"can't be decoded near frame {self._decoded} ({_brief(error)})"
            ) from None
        self._decoded += 1


def _playable(path: Path, scratch: Path) -> Path:
    """The file that decord can be trusted with: the video itself, or a copy in `scratch`."""
    try:
        if path.is_dir():
            raise VideoError(path, "is a folder, not a video")
        if path.stat().st_size == 0:
            raise VideoError(path, "is empty")
        if missing := container.missing_bytes(path):
            raise VideoError(
                path,
                f"is cut short: {missing} bytes that its container declares are missing. Get it whole, "
                "or accept what is there: ffmpeg -i FILE -c copy COPY.mkv",
            )
        output_format = container.remux_format(path)
    except FileNotFoundError:
        raise VideoError(path, "does not exist") from None
    except OSError as error:
        raise VideoError(path, f"can't be read ({error.strerror})") from None
    if output_format is None:
        return path
    return _remux(path, scratch / "remuxed", output_format)


def _remux(path: Path, copy: Path, output_format: str) -> Path:
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y"]
    command += ["-fflags", "+genpts", "-i", f"file:{path}", "-map", "0:v:0", "-c", "copy"]
    # An MP4 edit list would hide the first frames of a stream whose times are made up.
    if output_format == "mp4":
        command += ["-avoid_negative_ts", "make_zero", "-use_editlist", "0"]
    done = subprocess.run(
        [*command, "-f", output_format, str(copy)], capture_output=True, text=True, errors="replace"
    )
    if done.returncode != 0 or not copy.exists():
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise VideoError(path, f"holds no video that can be decoded (ffmpeg: {lines[-1]})")
    return copy


def _timestamps(reader: Any) -> np.ndarray:
    """Times of the frames that are shown, seconds, [frames] float64."""
    times = reader.get_frame_timestamp(range(len(reader)))[:, 0].astype(np.float64)
    # AVI has no times for some codecs; they read as numbers near −2⁶³.
    if np.abs(times).max() > 1e9:
        return np.arange(len(times)) / reader.get_avg_fps()
    shown = np.sort(times[times > -1e-6])
    return shown if len(shown) else np.sort(times - times.min())


def _brief(error: Exception) -> str:
    """First line of decord's message without times and places in its sources."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"(\[[^]]*\] ?)|(\S*\.cc:\d+: )", "", lines[0])
