"""Copies of video streams in containers that have an index, without re-encoding."""

import os
import subprocess
import tempfile
from pathlib import Path

from a2inet_jax.errors import VideoError
from a2inet_jax.video.ffmpeg import ffmpeg_command, last_line, open_file_path
from a2inet_jax.video.info import NO_VIDEO_STREAM


def remux(path: Path, output_format: str) -> int:
    """Copy the video stream of a file into an unnamed temporary file.

    Args:
        path: The video.
        output_format: "mp4" or "matroska".

    Returns:
        A file descriptor of the copy, to be closed by the caller. The copy disappears when it is closed, or
        when this process ends for any reason. `open_file_path` returns a path to open it by.

    Raises:
        VideoError: ffmpeg finds no video stream, or the folder of temporary files is full.
    """
    options = ["-y", "-fflags", "+genpts", "-i", f"file:{path}", "-map", "0:v:0", "-c", "copy"]
    # An MP4 edit list would hide the first frames of a stream whose timestamps are generated.
    if output_format == "mp4":
        options += ["-avoid_negative_ts", "make_zero", "-use_editlist", "0"]
    with tempfile.TemporaryFile() as copy:
        target = f"file:{open_file_path(copy.fileno())}"
        process = subprocess.run(
            [*ffmpeg_command(), *options, "-f", output_format, target],
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        if b"No space left" in process.stderr:
            raise VideoError(
                path,
                f"needs a temporary copy in {tempfile.gettempdir()}, which is full: set TMPDIR to a folder "
                "with more space",
            )
        if b"matches no streams" in process.stderr:
            raise VideoError(path, NO_VIDEO_STREAM)
        if process.returncode != 0 or not copy.seek(0, os.SEEK_END):
            raise VideoError(path, f"cannot be decoded ({last_line(process.stderr)})")
        return os.dup(copy.fileno())
