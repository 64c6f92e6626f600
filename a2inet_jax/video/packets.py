"""The coded frames of a file, listed without decoding: when they are shown, and which stand alone."""

import re
import subprocess
from dataclasses import dataclass

import numpy as np

from a2inet_jax.video.frame_pipe import command

# FFmpeg's flags: a packet that decoding can start at, and one that is decoded and not shown.
_KEY, _DISCARD = 1, 4


@dataclass(frozen=True)
class Packets:
    """The packets of a video stream, in the order in which they lie in the file.

    Attributes:
      times: when each is shown, in the stream's time base, [packets] int64.
      key: said to be a key frame, [packets] bool.
      hidden: by an edit list, [packets] bool. Decoders count hidden frames as well.
      side_data: comes with more than its bytes, such as new headers for the decoder, [packets] bool.
    """

    times: np.ndarray
    key: np.ndarray
    hidden: np.ndarray
    side_data: np.ndarray

    def shown(self) -> np.ndarray:
        """Whether each packet is shown, in the order of their times, [packets] bool."""
        return ~self.hidden[np.lexsort((~self.hidden, self.times))]


def listed(file: str) -> Packets:
    """Read through a file without decoding.

    Args:
      file: the video's path.

    Returns:
      All packets that say when they are shown. None where ffmpeg can't read the file.
    """
    how = ["-bsf:v:0", "noise=drop='isnan(pts)'", "-i", f"file:{file}", "-map", "0:v:0"]
    how += ["-c", "copy", "-copyinkf", "-copyts", "-copytb", "1", "-f", "framecrc", "pipe:1"]
    done = subprocess.run([*command(), *how], stdin=subprocess.DEVNULL, capture_output=True)
    rows = []
    for line in done.stdout.decode().splitlines():
        if not line.startswith("#"):
            # stream, decoding time, time, duration, size, check sum, flags of all but plain key frames
            found = re.search(r"F=0x([0-9A-F]+)", line)
            flags = int(found[1], 16) if found else _KEY
            row = (int(line.split(",")[2]), flags & _KEY, flags & _DISCARD, ", S=" in line)
            rows.append(row)
    times, key, hidden, side_data = np.array(rows, np.int64).reshape(-1, 4).T
    return Packets(times, key != 0, hidden != 0, side_data != 0)
