"""Coded frames of a video stream, listed without decoding them."""

import re
import subprocess
from dataclasses import dataclass

import numpy as np

from a2inet_jax.video.ffmpeg import ffmpeg_command

# FFmpeg's packet flags: a key frame, and a frame that is decoded but not shown.
_FLAG_KEY, _FLAG_DISCARD = 1, 4


@dataclass(frozen=True)
class Packets:
    """The packets of a video stream, in the order of the file (decoding order).

    Attributes:
        pts: Presentation times in the stream's time base, [packets] int64.
        is_key: Packets that the container marks as key frames, [packets] bool.
        is_hidden: Packets that an edit list hides, [packets] bool. Decoders count hidden frames too.
        has_side_data: Packets with side data, such as new headers for the decoder, [packets] bool.
    """

    pts: np.ndarray
    is_key: np.ndarray
    is_hidden: np.ndarray
    has_side_data: np.ndarray

    def shown_by_pts(self) -> np.ndarray:
        """Return which packets are shown, in presentation order, [packets] bool."""
        return ~self.is_hidden[np.lexsort((~self.is_hidden, self.pts))]


def list_packets(file: str) -> Packets:
    """Return all packets that have a presentation time; none if ffmpeg cannot read the file."""
    options = ["-bsf:v:0", "noise=drop='isnan(pts)'", "-i", f"file:{file}", "-map", "0:v:0"]
    options += ["-c", "copy", "-copyinkf", "-copyts", "-copytb", "1", "-f", "framecrc", "pipe:1"]
    listing = subprocess.run(
        [*ffmpeg_command(), *options], stdin=subprocess.DEVNULL, capture_output=True
    ).stdout
    rows = []
    for line in listing.decode().splitlines():
        if not line.startswith("#"):
            # Columns: stream, dts, pts, duration, size, checksum. Flags follow unless the packet is a
            # plain key frame, and sizes ("S=") of side data if there is any.
            match = re.search(r"F=0x([0-9A-F]+)", line)
            flags = int(match[1], 16) if match else _FLAG_KEY
            pts = int(line.split(",")[2])
            rows.append((pts, flags & _FLAG_KEY, flags & _FLAG_DISCARD, ", S=" in line))
    pts_N, key_N, hidden_N, side_data_N = np.array(rows, np.int64).reshape(-1, 4).T
    return Packets(pts_N, key_N != 0, hidden_N != 0, side_data_N != 0)
