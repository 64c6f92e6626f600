"""A copy of a stream in a container that has an index; nothing is encoded anew or stays on the disk."""

import os
import subprocess
import tempfile
from pathlib import Path

from a2inet_jax.errors import VideoError
from a2inet_jax.video.frame_pipe import command, last_line, open_file_path


def remuxed(path: Path, output_format: str) -> int:
    """Copy the video stream of a file.

    Args:
      path: the video.
      output_format: "mp4" or "matroska".

    Returns:
      File descriptor of a file without a name, which is gone when it is closed, or when this process ends in
      whatever way. `open_file_path` says where it can be opened.

    Raises:
      VideoError: ffmpeg finds no video stream.
    """
    arguments = ["-y", "-fflags", "+genpts", "-i", f"file:{path}", "-map", "0:v:0", "-c", "copy"]
    # An MP4 edit list would hide the first frames of a stream whose times are made up.
    if output_format == "mp4":
        arguments += ["-avoid_negative_ts", "make_zero", "-use_editlist", "0"]
    with tempfile.TemporaryFile() as copy:
        target = f"file:{open_file_path(copy.fileno())}"
        done = subprocess.run(
            [*command(), *arguments, "-f", output_format, target],
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        if b"No space left" in done.stderr:
            raise VideoError(
                path,
                f"needs a copy in {tempfile.gettempdir()}, which is full: set TMPDIR to a larger folder",
            )
        if done.returncode != 0 or not copy.seek(0, os.SEEK_END):
            raise VideoError(path, f"holds no video that can be decoded ({last_line(done.stderr)})")
        return os.dup(copy.fileno())
