"""Guarded decoding: either correct RGB frames, or an error that names the file.

Frames come from decord, or out of a pipe from the bundled ffmpeg where decord cannot be trusted with them.
What decord gets wrong without raising, and what is done about it:

- It decodes ahead without bound where frames are read slowly (5 GB after 50 frames of 4K at 4 per second): it
  is used only where all frames of a video together take less than `_MAX_DECORD_BYTES`.
- Mirrored and oblique display matrices are not honoured: it is not used where there is a matrix.
- A few narrow widths (32, 48, 96) come out with a wrong number of channels: it is not used for these.
- Seeking lands on wrong frames in several codecs (MPEG-2, MPEG-4 part 2 with B-frames, WMV), and where the
  stream has no index. Skipping frames is a race between two of its threads: it ends on any frame, a different
  one each time, in ordinary H.264 too. Frames are therefore decoded one after the other from the first, which
  also finds damage anywhere in the file. Only where few frames of a long video are wanted, ffmpeg decodes
  some groups of frames (`seek` says when, and why the frames are the same): damage elsewhere is not found
  then. Where anything is in doubt, all frames are decoded after all, and that result counts.
- Streams without an index (MPEG transport, program and elementary streams, Ogg) are first copied, not
  re-encoded, into a container that has one.
- A frame that cannot be decoded is replaced by its neighbour: decord is set to raise at the first of them.
- A file that was cut short ends where it was cut: compared with what its container declares, and refused.
- Frames that an edit list hides are counted: ffmpeg's list of packets shows which these are.

As in ffmpeg, frames are rotated and mirrored as the metadata say, untagged colour is taken as BT.601, and
where the frame size changes in mid-stream, frames are scaled to the first size. RGB is ffmpeg's own, bit for
bit, in all formats, depths, tags and odd sizes that the tests cover.
"""

import contextlib
import functools
import itertools
import os
import re
import weakref
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from a2inet_jax.errors import VideoError
from a2inet_jax.video import container, seek
from a2inet_jax.video.ffmpeg import FramePipe, any_of, last_line, open_file_path, run_ffmpeg
from a2inet_jax.video.info import NO_VIDEO_STREAM, VideoInfo, check_frame_size, check_indices

# Decoded frames that may pile up in decord, in bytes.
_MAX_DECORD_BYTES = 512 << 20
# decord takes the fraction of frames that may be replaced, and treats 0 as "any".
_NO_REPLACED_FRAMES = 1e-9
# An expression that selects more frames than this is too long for a command-line argument.
_MAX_SELECTED = 5000


class Decoder:
    """Reader of one video, from its first frame to its last; `info` has number, size and times of its frames.

    Runs native code on untrusted bytes: use it in a process that may die.
    """

    def __init__(self, path: Path, max_decord_bytes: int = _MAX_DECORD_BYTES) -> None:
        """Open a video and decode its first frame.

        decord decodes a video only if all its frames together take no more than `max_decord_bytes`.

        Raises:
            VideoError: The file is not a video, not complete, or its frames are too small.
        """
        self.path = path
        container.check_complete(path)
        output_format = container.remux_format(path)
        # Absolute, because ffmpeg would take "a:b.mp4" for a URL.
        self._file = os.path.abspath(path)
        if output_format:
            copy = container.remux(path, output_format)
            weakref.finalize(self, os.close, copy)
            self._file = open_file_path(copy)
        self._num_decoded = 0
        self._frame: Any = None
        self._reader: Any = None
        try:
            self._rewind()
        except self._decord_errors as error:
            raise VideoError(path, _open_failure(error)) from None
        timestamps = self._shown_timestamps()
        height, width, has_matrix = _first_frame(path, self._file)
        check_frame_size(path, height, width)
        self.info = VideoInfo(height, width, timestamps)
        # decord has to prove itself with the first frame.
        video_bytes = len(timestamps) * height * width * 3
        self._use_decord = not has_matrix and video_bytes <= max_decord_bytes
        with contextlib.suppress(*self._decord_errors):
            if self._use_decord and self._advance().shape == (height, width, 3):
                return
        self._abandon_decord()

    def read(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        """Decode frames, and all that follow the last of them unless a few groups of frames are enough.

        Indices ascend. Decoders work ahead as far as time permits: if the frames after the last index were
        ignored, damage among them would be found in one run and not in another. Which groups of a long video
        are decoded depends on the file and the indices alone.

        Yields:
            [height, width, 3] uint8 RGB for each index.

        Raises:
            VideoError: A frame cannot be decoded or does not exist, or the frame size changes.
        """
        check_indices(self.path, indices, self.info.num_frames)
        return self._read(indices)

    @functools.cached_property
    def _packets(self) -> container.Packets:
        return container.list_packets(self._file)

    def _shown_timestamps(self) -> np.ndarray:
        """Return the times of the frames that no edit list hides, in seconds, [frames] float64."""
        timestamps = _all_timestamps(self._reader)
        if container.may_have_edit_list(self.path):
            shown = self._packets.shown_by_pts()
            if len(shown) == len(timestamps):
                timestamps = timestamps[shown]
        if not len(timestamps):
            raise VideoError(self.path, "shows no frame: its edit list hides all of them")
        return timestamps

    def _read(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        """Yield frames from the fastest source; each source continues where the one before it gave up."""
        num_read = 0
        # 1. ffmpeg, only the groups of frames that are needed.
        if plan := self._seek_plan(indices):
            sought = plan.frames(self._file, self.info.height, self.info.width)
            with contextlib.closing(sought) as frames:
                for frame_HxWx3 in frames:
                    num_read += 1
                    yield frame_HxWx3
        # 2. decord, all frames.
        if self._use_decord and num_read < len(indices):
            try:
                for frame_HxWx3 in itertools.islice(self._from_decord(indices), num_read, None):
                    num_read += 1
                    yield frame_HxWx3
            except self._decord_errors:
                self._abandon_decord()
        # 3. ffmpeg, all frames. Its verdict is final.
        if num_read < len(indices):
            yield from itertools.islice(self._from_pipe(indices), num_read, None)

    def _seek_plan(self, indices: Sequence[int]) -> seek.SeekPlan | None:
        """Return the groups to decode, or None if all frames have to be decoded."""
        total = self.info.num_frames
        if not seek.may_pay_off(total, len(indices)) or len(self._packets.pts) != total:
            return None
        return seek.SeekPlan.create(self._packets, indices)

    def _from_decord(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        if indices[0] < self._num_decoded - 1:
            self._rewind()
        for count, index in enumerate(indices, start=1):
            self._advance_to(index)
            frame_HxWx3 = self._frame.asnumpy()
            if frame_HxWx3.shape != (self.info.height, self.info.width, 3):
                raise VideoError(self.path, f"changes its frame size at frame {index}")
            if count == len(indices):
                self._advance_to(self.info.num_frames - 1)
            yield frame_HxWx3

    def _rewind(self) -> None:
        # Imported here, so that importing this module does not load the native library.
        import decord

        # decord reports a count of no frames by an AssertionError.
        self._decord_errors = (
            RuntimeError,
            IndexError,
            AssertionError,
            StopIteration,
            decord.DECORDError,
            decord.DECORDLimitReachedError,
        )
        self._num_decoded = 0
        # Free the old reader before opening a new one.
        self._frame = self._reader = None
        # One thread: VP9 fails with more, and the machine's other cores have other work.
        self._reader = decord.VideoReader(self._file, num_threads=1, fault_tol=_NO_REPLACED_FRAMES)

    def _advance_to(self, index: int) -> None:
        while self._num_decoded <= index:
            self._advance()

    def _advance(self) -> Any:
        self._frame = self._reader.next()
        self._num_decoded += 1
        return self._frame

    def _abandon_decord(self) -> None:
        """Leave the rest to ffmpeg, because decord sometimes fails on a good file under load."""
        self._use_decord = False
        self._frame = self._reader = None

    def _from_pipe(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        current, frame_HxWx3 = -1, np.empty(0)
        with contextlib.closing(self._indexed_frames(indices)) as frames:
            for count, index in enumerate(indices, start=1):
                while current < index:
                    current, frame_HxWx3 = next(frames)
                if count == len(indices):
                    for _ in frames:
                        pass
                yield frame_HxWx3

    def _indexed_frames(
        self, indices: Sequence[int]
    ) -> Generator[tuple[int, np.ndarray], None, None]:
        """Yield index and frame of at least the requested frames and the last frame of the video."""
        # ffmpeg skips frames that it cannot decode: the last one proves that none before it is missing.
        output = sorted({*indices, self.info.num_frames - 1})
        filters = ["-vf", f"select='{any_of([f'eq(n,{index})' for index in output])}'"]
        if len(output) > min(_MAX_SELECTED, self.info.num_frames // 2):
            output, filters = list(range(self.info.num_frames)), []
        with self._pipe(filters) as pipe:
            for index in output:
                frame_HxWx3 = pipe.next()
                if frame_HxWx3 is None:
                    raise self._undecodable()
                yield index, frame_HxWx3

    def _pipe(self, filters: Sequence[str] = ()) -> FramePipe:
        options = ["-i", f"file:{self._file}", "-map", "0:v:0", *filters]
        options += ["-fps_mode", "passthrough"]
        return FramePipe(options, self.info.height, self.info.width)

    def _undecodable(self) -> VideoError:
        """Return the error for a damaged video, which says how many frames can be decoded."""
        count = 0
        with self._pipe() as pipe:
            while count < self.info.num_frames and pipe.next() is not None:
                count += 1
        return VideoError(
            self.path,
            f"cannot be decoded ({count} of {self.info.num_frames} frames come out). "
            "Get an undamaged copy, or leave the video out",
        )


def _first_frame(path: Path, file: str) -> tuple[int, int, bool]:
    """Return height and width of the first frame, and whether a display matrix rotates or mirrors it."""
    options = ["-i", f"file:{file}", "-map", "0:v:0", "-frames:v", "1", "-pix_fmt", "rgb24"]
    options += ["-c:v", "ppm", "-f", "image2pipe", "pipe:1"]
    process = run_ffmpeg(options, log_level="info")
    size = re.match(rb"P6\s(\d+)\s(\d+)\s", process.stdout)
    if size is None:
        raise VideoError(path, f"cannot be decoded near frame 0 ({last_line(process.stderr)})")
    width, height = map(int, size.groups())
    # ffmpeg's versions spell it in two ways. A false match in a comment does no harm.
    has_matrix = b"displaymatrix" in process.stderr.lower().replace(b" ", b"")
    return height, width, has_matrix


def _all_timestamps(reader: Any) -> np.ndarray:
    """Return the times of all frames, hidden ones included, ascending, in seconds, [frames] float64."""
    timestamps = reader.get_frame_timestamp(range(len(reader)))[:, 0].astype(np.float64)
    # AVI has no times for some codecs; decord returns numbers near −2⁶³ for them.
    if np.abs(timestamps).max() > 1e9:
        return np.arange(len(timestamps)) / reader.get_avg_fps()
    return np.sort(timestamps)


def _open_failure(error: Exception) -> str:
    """Return in plain English why decord, whose messages are those of C++ code, cannot open a file."""
    message = str(error)
    if "Error reading" in message or "cannot find video stream" in message:
        return NO_VIDEO_STREAM
    if "broken metadata" in message:
        return (
            "cannot be decoded: its frames cannot be counted. Is it a picture? If not, "
            "copy it into a new container: ffmpeg -i FILE -c copy COPY.mkv"
        )
    return (
        "cannot be decoded: the decoder cannot open it. Is it damaged? If ffmpeg can read it, convert it: "
        "ffmpeg -i FILE -crf 0 COPY.mkv"
    )
