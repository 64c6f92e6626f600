"""Frame rate and frame size of a video file, from its header and its first frame."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from a2inet_jax.errors import VideoError
from a2inet_jax.video.ffmpeg import ffmpeg_command
from a2inet_jax.video.raw import RawDecoder
from a2inet_jax.video.raw_format import RawFormat

_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class ProbeResult:
    """Frame rate and frame size of a file; all 0 if no frame could be decoded.

    Attributes:
        frame_rate: Average frames per second, from the header.
        height: Frame height in pixels, rotation applied.
        width: Frame width in pixels, rotation applied.
    """

    frame_rate: float
    height: int
    width: int


UNKNOWN = ProbeResult(0.0, 0, 0)


def probe(path: Path, raw: RawFormat | None = None) -> ProbeResult:
    """Read the header of a video and decode its first frame; a raw video must contain whole frames."""
    if raw:
        try:
            RawDecoder(path, raw)
        except VideoError:
            return UNKNOWN
        return ProbeResult(raw.frame_rate, raw.height, raw.width)
    options = ["-i", f"file:{path.absolute()}", "-map", "0:v:0"]
    options += ["-frames:v", "1", "-f", "null", "-"]
    try:
        done = subprocess.run(
            [*ffmpeg_command("info"), *options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return UNKNOWN
    # ffmpeg describes the input with its frame rate, then the output with the displayed size; the output only
    # once it has decoded a frame.
    source, _, shown = done.stderr.decode(errors="replace").partition("Output #0")
    size = re.search(r"Video: .*?, (\d+)x(\d+)", shown)
    if done.returncode or size is None:
        return UNKNOWN
    rate = re.search(r"Video: .*?, ([\d.]+)(k?) fps", source)
    frame_rate = float(rate[1]) * (1000 if rate[2] else 1) if rate else 0.0
    return ProbeResult(frame_rate, int(size[2]), int(size[1]))
