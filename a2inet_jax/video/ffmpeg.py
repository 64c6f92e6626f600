"""The bundled ffmpeg: its command, its filters' expressions, and RGB frames that it writes into a pipe.

A full pipe blocks ffmpeg, so only a few frames are in memory at a time, however long the video is and however
slowly its frames are consumed.
"""

import contextlib
import fcntl
import os
import re
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Self

import numpy as np

_PIPE_BYTES = 1 << 20


class FramePipe:
    """An ffmpeg process that decodes a video and converts it to RGB, for use in a `with` statement."""

    def __init__(
        self,
        options: Sequence[str],
        height: int,
        width: int,
        feed: Callable[[IO[bytes]], None] | None = None,
    ) -> None:
        """Start the process; frames are `height` × `width` pixels.

        Args:
            options: ffmpeg's options for the input and the filters; those of the output are added.
            feed: Writes ffmpeg's standard input, in a thread of its own. It may raise OSError when ffmpeg
                accepts no more.
        """
        self._frame_shape = (height, width, 3)
        self._process = subprocess.Popen(
            [*ffmpeg_command(), *options, "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"],
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        # Refused if the user's pipes already take much memory; frames then pass in smaller pieces.
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._process.stdout, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._feeder: threading.Thread | None = None
        if feed:
            self._feeder = threading.Thread(target=self._feed, args=(feed,))
            self._feeder.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        if self._feeder:
            self._feeder.join()
        self._process.__exit__(None, None, None)

    def next(self) -> np.ndarray | None:
        """Return the next frame, [height, width, 3] uint8 RGB, or None if there is no other."""
        assert self._process.stdout is not None
        frame_HxWx3 = np.empty(self._frame_shape, np.uint8)
        num_bytes = self._process.stdout.readinto(frame_HxWx3.data.cast("B"))  # type: ignore[attr-defined]
        return frame_HxWx3 if num_bytes == frame_HxWx3.nbytes else None

    def ended_without_error(self) -> bool:
        """Return True if there are no more frames and ffmpeg exits with status 0."""
        assert self._process.stdout is not None
        return not self._process.stdout.read(1) and self._process.wait() == 0

    def _feed(self, feed: Callable[[IO[bytes]], None]) -> None:
        assert self._process.stdin is not None
        # If ffmpeg ends, or the input cannot be read, the frames end early, which the caller notices.
        with contextlib.suppress(OSError), self._process.stdin as pipe:
            feed(pipe)


def ffmpeg_command(log_level: str = "error") -> list[str]:
    """Return the command and general options of the bundled ffmpeg, which runs on one core."""
    import imageio_ffmpeg

    general = ["-nostdin", "-hide_banner", "-nostats", "-v", log_level]
    general += ["-filter_threads", "1", "-threads", "1"]
    return [imageio_ffmpeg.get_ffmpeg_exe(), *general]


def run_ffmpeg(
    options: Sequence[str],
    log_level: str = "error",
    stdin: bytes = b"",
    cwd: Path | None = None,
    timeout_s: float | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run the bundled ffmpeg to its end and capture its output and messages; raises as `subprocess.run`."""
    command = [*ffmpeg_command(log_level), *options]
    return subprocess.run(command, input=stdin, capture_output=True, cwd=cwd, timeout=timeout_s)


def last_line(messages: bytes) -> str:
    """Return ffmpeg's last message, without memory addresses, which differ in each run."""
    lines = messages.decode(errors="replace").strip().splitlines()
    if not lines:
        return "ffmpeg gives no reason"
    return "ffmpeg: " + re.sub(r"\[[^]]* @ 0x[0-9a-f]+\] ?", "", lines[-1])


def open_file_path(descriptor: int) -> str:
    """Return a path by which this and other processes can open a file that has lost its name."""
    return f"/proc/{os.getpid()}/fd/{descriptor}"


def any_of(terms: Sequence[str]) -> str:
    """Return an expression for ffmpeg's filters that is true if at least one term is true.

    The sum is nested as a balanced tree, because ffmpeg accepts only a hundred levels.
    """
    if len(terms) == 1:
        return terms[0]
    middle = len(terms) // 2
    return f"({any_of(terms[:middle])}+{any_of(terms[middle:])})"
