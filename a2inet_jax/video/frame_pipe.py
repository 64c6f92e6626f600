"""Frames out of a pipe from the bundled ffmpeg.

A pipe that is full blocks ffmpeg: no more than a few frames exist at a time, whatever the video's length and
however slowly they are taken.
"""

import contextlib
import fcntl
import os
import re
import subprocess
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import IO, Self

import numpy as np

_COLOURS = 3
_PIPE_BYTES = 1 << 20


class FramePipe:
    """An ffmpeg process that decodes and converts to RGB. To be used in a `with` statement."""

    def __init__(
        self,
        arguments: Sequence[str],
        height: int,
        width: int,
        feed: Callable[[IO[bytes]], None] | None = None,
    ) -> None:
        """Start it.

        Args:
          arguments: the input's and the filters' options; the output's are added.
          height: of a frame, pixels.
          width: of a frame, pixels.
          feed: writes what ffmpeg reads as its standard input, in a thread of its own. May raise OSError,
            where ffmpeg takes no more.
        """
        self._shape = (height, width, _COLOURS)
        self._process = subprocess.Popen(
            [*command(), *arguments, "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"],
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        # Refused where the user's pipes hold much already: frames then pass in smaller pieces.
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._process.stdout, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._feeder: threading.Thread | None = None
        if feed:
            self._feeder = threading.Thread(target=self._feed, args=(feed,))
            self._feeder.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        if self._feeder:
            self._feeder.join()
        self._process.__exit__(kind, value, trace)

    def next(self) -> np.ndarray | None:
        """The next frame, [height, width, 3] uint8 RGB; None where there is none."""
        assert self._process.stdout is not None
        frame = np.empty(self._shape, np.uint8)
        taken = self._process.stdout.readinto(frame.data.cast("B"))  # type: ignore[attr-defined]
        return frame if taken == frame.nbytes else None

    def ended_well(self) -> bool:
        """Whether there are no more frames, and ffmpeg ends without an error."""
        assert self._process.stdout is not None
        return not self._process.stdout.read(1) and self._process.wait() == 0

    def _feed(self, feed: Callable[[IO[bytes]], None]) -> None:
        assert self._process.stdin is not None
        # Where ffmpeg ended, or what was to be fed can't be read, its frames end early, which tells.
        with contextlib.suppress(OSError), self._process.stdin as pipe:
            feed(pipe)


def command(level: str = "error") -> list[str]:
    """How the bundled ffmpeg is called: on one core, with messages of this level and above."""
    import imageio_ffmpeg

    general = [
        "-nostdin",
        "-hide_banner",
        "-nostats",
        "-v",
        level,
        "-filter_threads",
        "1",
        "-threads",
        "1",
    ]
    return [imageio_ffmpeg.get_ffmpeg_exe(), *general]


def last_line(messages: bytes) -> str:
    """What ffmpeg said last, without addresses, which are others each time."""
    lines = messages.decode(errors="replace").strip().splitlines()
    if not lines:
        return "ffmpeg says nothing"
    return "ffmpeg: " + re.sub(r"\[[^]]* @ 0x[0-9a-f]+\] ?", "", lines[-1])


def open_file_path(descriptor: int) -> str:
    """A path under which this and other processes can open a file that has no name any more."""
    return f"/proc/{os.getpid()}/fd/{descriptor}"
