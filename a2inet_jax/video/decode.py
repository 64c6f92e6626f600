"""Guarded decoding: RGB frames that are right, or an error that names the file.

Frames come from decord, or out of a pipe from the bundled ffmpeg where decord can't be trusted with them.
What decord gets wrong without raising, and what is done about it:

- It decodes ahead without bound where frames are taken slowly (5 GB after 50 frames of 4K at 4 a second): it
  is used only where all frames of a video together take less than `_AHEAD_BYTES`.
- Mirrored and oblique display matrices are not honoured: it is not used where there is a matrix.
- A few narrow widths (32, 48, 96) come out with a wrong number of channels: it is not used for these.
- Seeking lands on other frames in several codecs (MPEG-2, MPEG-4 part 2 with B-frames, WMV), and where the
  stream has no index. Skipping frames is a race between two of its threads: it ends on any frame, another
  each time, in ordinary H.264 too. Frames are therefore decoded one after the other from the first, which
  also finds damage wherever it is. Only of long videos, where few frames are wanted, ffmpeg decodes parts
  (`seek` tells when, and why the frames are the same): damage elsewhere is not found then, and where anything
  is in doubt all frames are decoded after all, and what comes of that counts.
- Streams without an index (MPEG transport, program and elementary streams, Ogg) are first copied, not
  re-encoded, into a container that has one.
- A frame that can't be decoded is replaced by its neighbour: decord is told to raise at the first of them.
- A file that was cut short ends where it was cut: compared with what its container declares, and refused.
- Frames that an edit list hides are counted: ffmpeg's list of packets tells which these are.

As in ffmpeg, frames are turned and mirrored as the metadata say, untagged colour is taken as BT.601, and
where the frame size changes in mid-stream, frames are scaled to the first size. RGB is ffmpeg's own, bit for
bit, in all formats, depths, tags and odd sizes that the tests hold.
"""

import contextlib
import functools
import itertools
import os
import re
import subprocess
import weakref
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from a2inet_jax.errors import VideoError
from a2inet_jax.video import container, packets, seek
from a2inet_jax.video.expression import any_of
from a2inet_jax.video.frame_pipe import FramePipe, command, last_line, open_file_path
from a2inet_jax.video.info import VideoInfo, check_indices, check_side, readable_bytes
from a2inet_jax.video.raw import HEADERLESS
from a2inet_jax.video.remux import remuxed

# Decoded frames that may wait in decord, bytes.
_AHEAD_BYTES = 512 << 20
# decord takes a share of the frames that may be replaced, and reads 0 as "any".
_NO_REPLACED_FRAMES = 1e-9
# An expression that selects more frames than this is too long for an argument of a process.
_MOST_SELECTED = 5000


class Decoder:
    """Reads one video from its first frame towards its last.

    Runs native code on bytes of unknown origin: to be used in a process that may die.

    Attributes:
      path: the video.
      info: number of frames, their size and times.
    """

    def __init__(self, path: Path, ahead_bytes: int = _AHEAD_BYTES) -> None:
        """Open a video and decode its first frame.

        Args:
          path: the video.
          ahead_bytes: decord is trusted with a video whose frames take no more than this, all together.

        Raises:
          VideoError: the file is not a video, not whole, or too small.
        """
        self.path = path
        readable_bytes(path)
        if path.suffix.lower() in HEADERLESS:
            raise VideoError(
                path,
                "has no header that says how its frames lie. Put it into a CSV list with the columns "
                "path,width,height,pixel_format (and frame_rate), and give that list in its place",
            )
        if container.is_picture(path):
            raise VideoError(path, "is a picture, not a video")
        if missing := container.missing_bytes(path):
            raise VideoError(
                path,
                f"is cut short: {missing} bytes that its container declares are missing. Get it whole, "
                "or accept what is there: ffmpeg -i FILE -c copy COPY.mkv",
            )
        output_format = container.remux_format(path)
        # Absolute, as "a:b.mp4" would be read as something else than a file.
        self._file = os.path.abspath(path)
        if output_format:
            copy = remuxed(path, output_format)
            weakref.finalize(self, os.close, copy)
            self._file = open_file_path(copy)
        self._decoded = 0
        self._frame: Any = None
        self._reader: Any = None
        try:
            self._rewind()
        except self._failures as error:
            raise VideoError(
                path, f"holds no video that can be decoded ({_brief(error)})"
            ) from None
        timestamps = _timestamps(self._reader)
        if container.may_hide_frames(path):
            shown = self._packets.shown()
            if len(shown) == len(timestamps):
                timestamps = timestamps[shown]
        if not len(timestamps):
            raise VideoError(path, "shows no frame: its edit list hides all")
        height, width, matrix = _first_frame(path, self._file)
        check_side(path, height, width)
        self.info = VideoInfo(len(timestamps), height, width, timestamps)
        self._by_decord = not matrix and len(timestamps) * height * width * 3 <= ahead_bytes
        if self._by_decord:
            try:
                right = self._advance().shape == (height, width, 3)
            except self._failures:
                right = False
            if not right:
                self._leave_decord()
        else:
            self._leave_decord()

    def read(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        """Decode frames, and with the last of them all that follow, unless parts of a long video will do.

        Decoders work ahead, as far as time permits; were the frames after the last index left alone, damage
        among them would be found on one day and not on another. Which parts of a long video are decoded
        depends on the file and the indices alone.

        Args:
          indices: which ones, in ascending order.

        Yields:
          [height, width, 3] uint8 RGB for each index.

        Raises:
          VideoError: a frame can't be decoded or doesn't exist, or the frames' size changes.
        """
        check_indices(self.path, indices, self.info.frames)
        return self._read(indices)

    @functools.cached_property
    def _packets(self) -> packets.Packets:
        return packets.listed(self._file)

    def _read(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        found = 0
        if groups := self._groups(indices):
            sought = groups.frames(self._file, self.info.height, self.info.width)
            with contextlib.closing(sought) as frames:
                for frame in frames:
                    found += 1
                    yield frame
        if self._by_decord and found < len(indices):
            try:
                for frame in itertools.islice(self._from_decord(indices), found, None):
                    found += 1
                    yield frame
            except self._failures:
                self._leave_decord()
        if found < len(indices):
            yield from itertools.islice(self._from_pipe(indices), found, None)

    def _groups(self, indices: Sequence[int]) -> seek.Groups | None:
        """What to decode in place of all frames; None where that isn't possible or sensible."""
        if not seek.may_be_worth_it(self.info.frames, len(indices)):
            return None
        if len(self._packets.times) != self.info.frames:
            return None
        return seek.Groups.of(self._packets, indices)

    def _from_decord(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
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
        # Imported here: the process that only needs the class stays free of the native library.
        import decord

        # AssertionError is how decord reports a count of no frames.
        self._failures = (
            RuntimeError,
            IndexError,
            AssertionError,
            StopIteration,
            decord.DECORDError,
            decord.DECORDLimitReachedError,
        )
        self._decoded = 0
        self._frame = self._reader = None  # the last one goes before the next is made
        # One thread: VP9 fails with more, and the machine's other cores have other work.
        self._reader = decord.VideoReader(self._file, num_threads=1, fault_tol=_NO_REPLACED_FRAMES)

    def _advance_to(self, index: int) -> None:
        while self._decoded <= index:
            self._advance()

    def _advance(self) -> Any:
        self._frame = self._reader.next()
        self._decoded += 1
        return self._frame

    def _leave_decord(self) -> None:
        """Now and then it fails on a good file, under load: ffmpeg has the last word."""
        self._by_decord = False
        self._frame = self._reader = None

    def _from_pipe(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        at, frame = -1, np.empty(0)
        with contextlib.closing(self._piped(indices)) as frames:
            for number, index in enumerate(indices, start=1):
                while at < index:
                    at, frame = next(frames)
                if number == len(indices):
                    for _ in frames:
                        pass
                yield frame

    def _piped(self, indices: Sequence[int]) -> Generator[tuple[int, np.ndarray], None, None]:
        """Index and frame of those asked for, of more, and of the last."""
        # The last frame proves that those before it could be decoded: ffmpeg leaves out what can't be.
        passed = sorted({*indices, self.info.frames - 1})
        filters = ["-vf", f"select='{any_of([f'eq(n,{index})' for index in passed])}'"]
        if len(passed) > min(_MOST_SELECTED, self.info.frames // 2):
            passed, filters = list(range(self.info.frames)), []
        with self._pipe(filters) as pipe:
            for index in passed:
                frame = pipe.next()
                if frame is None:
                    raise self._undecodable()
                yield index, frame

    def _pipe(self, filters: Sequence[str] = ()) -> FramePipe:
        how = ["-i", f"file:{self._file}", "-map", "0:v:0", *filters, "-fps_mode", "passthrough"]
        return FramePipe(how, self.info.height, self.info.width)

    def _undecodable(self) -> VideoError:
        """What to say of damage: how many frames come out in all."""
        count = 0
        with self._pipe() as pipe:
            while count < self.info.frames and pipe.next() is not None:
                count += 1
        out = f"{count} of {self.info.frames} frames come out"
        return VideoError(self.path, f"can't be decoded ({out}). Get it whole, or leave it out")


def _first_frame(path: Path, file: str) -> tuple[int, int, bool]:
    """What ffmpeg shows first.

    Returns:
      Its height and width, and whether a display matrix turns or mirrors it.
    """
    how = ["-i", f"file:{file}", "-map", "0:v:0", "-frames:v", "1", "-pix_fmt", "rgb24"]
    done = subprocess.run(
        [*command("info"), *how, "-c:v", "ppm", "-f", "image2pipe", "pipe:1"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    size = re.match(rb"P6\s(\d+)\s(\d+)\s", done.stdout)
    if size is None:
        raise VideoError(path, f"can't be decoded near frame 0 ({last_line(done.stderr)})")
    width, height = map(int, size.groups())
    # Versions spell it in two ways; a comment that says so as well does no harm.
    return height, width, b"displaymatrix" in done.stderr.lower().replace(b" ", b"")


def _timestamps(reader: Any) -> np.ndarray:
    """Times of all frames, hidden ones included, ascending, seconds, [frames] float64."""
    times = reader.get_frame_timestamp(range(len(reader)))[:, 0].astype(np.float64)
    # AVI has no times for some codecs; they read as numbers near −2⁶³.
    if np.abs(times).max() > 1e9:
        return np.arange(len(times)) / reader.get_avg_fps()
    return np.sort(times)


def _brief(error: Exception) -> str:
    """First line of decord's message without times and places in its sources."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"(\[[^]]*\] ?)|(\S*\.cc:\d+: )", "", lines[0])
