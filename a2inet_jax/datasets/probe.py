"""Frame rate and frame size of a video file: a look at its header and at its first frame."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from a2inet_jax.errors import VideoError
from a2inet_jax.video.frame_pipe import command
from a2inet_jax.video.raw import RawDecoder
from a2inet_jax.video.raw_format import RawFormat

_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Probe:
    """What a look at a file told; all 0 where no frame came out of it.

    Attributes:
      frame_rate: frames a second, on average, as the header has it.
      height: of a frame, pixels, rotation applied.
      width: of a frame, pixels, rotation applied.
    """

    frame_rate: float
    height: int
    width: int


UNKNOWN = Probe(0.0, 0, 0)


def probe(path: Path, raw: RawFormat | None = None) -> Probe:
    """Look at a video.

    Args:
      path: the file.
      raw: how frames lie in a file without a header; such a file must hold whole frames.
    """
    if raw:
        try:
            RawDecoder(path, raw)
        except VideoError:
            return UNKNOWN
        return Probe(raw.frame_rate, raw.height, raw.width)
    how = ["-i", f"file:{path.absolute()}", "-map", "0:v:0", "-frames:v", "1", "-f", "null", "-"]
    try:
        done = subprocess.run(
            [*command("info"), *how],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return UNKNOWN
    # What goes in has the frame rate; what comes out has the size as it is shown. ffmpeg says what comes out
    # when it has a frame, not before.
    source, _, shown = done.stderr.decode(errors="replace").partition("Output #0")
    size = re.search(r"Video: .*?, (\d+)x(\d+)", shown)
    if done.returncode or size is None:
        return UNKNOWN
    rate = re.search(r"Video: .*?, ([\d.]+)(k?) fps", source)
    frame_rate = float(rate[1]) * (1000 if rate[2] else 1) if rate else 0.0
    return Probe(frame_rate, int(size[2]), int(size[1]))
