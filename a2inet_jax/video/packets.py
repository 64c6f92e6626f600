"""Which coded frames of a file are shown: an edit list may hide any of them, and decoders count them all."""

import re
import subprocess

import numpy as np

from a2inet_jax.video.frame_pipe import command

_DISCARD = 4  # FFmpeg's flag for a packet that is decoded and not shown


def shown(file: str) -> np.ndarray:
    """Read through a file without decoding.

    Args:
      file: the video's path.

    Returns:
      [packets] bool, for each packet of the video stream in the order of their times. Empty where ffmpeg
      can't read it.
    """
    how = [
        "-i",
        f"file:{file}",
        "-map",
        "0:v:0",
        "-c",
        "copy",
        "-copyts",
        "-f",
        "framecrc",
        "pipe:1",
    ]
    listed = subprocess.run([*command(), *how], stdin=subprocess.DEVNULL, capture_output=True)
    packets = []
    for line in listed.stdout.decode().splitlines():
        if not line.startswith("#"):
            # stream, decoding time, time, duration, size, check sum, and flags if there is more than one
            flags = re.search(r"F=0x([0-9A-F]+)", line)
            hidden = flags is not None and int(flags[1], 16) & _DISCARD != 0
            packets.append((int(line.split(",")[2]), not hidden))
    return np.array([is_shown for _, is_shown in sorted(packets)], bool)
