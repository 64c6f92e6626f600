"""The ffmpeg that imageio-ffmpeg brings: run on one thread, bit-exact, with errors that say why."""

import json
import os
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import imageio_ffmpeg

from a2inet_jax.errors import ClipError

FPS = 25
SWS = "flags=bicubic+accurate_rnd+full_chroma_int+bitexact"


def h264(crf: int) -> tuple[str, ...]:
    """Encoder options for H.264 of constant rate factor `crf`."""
    return ("-c:v", "libx264", "-preset", "veryfast", "-crf", str(crf), "-pix_fmt", "yuv420p")


def hevc(crf: int) -> tuple[str, ...]:
    """Encoder options for HEVC of constant rate factor `crf`."""
    one_thread = "pools=none:frame-threads=1:log-level=error"
    options = ("-preset", "ultrafast", "-crf", str(crf), "-x265-params", one_thread)
    return ("-c:v", "libx265", *options, "-tag:v", "hvc1", "-pix_fmt", "yuv420p")


@cache
def version() -> str:
    """Version of the ffmpeg in use: another one may give other bytes and labels."""
    return str(imageio_ffmpeg.get_ffmpeg_version())


def convert(
    clip: str,
    source: Sequence[str],
    filters: str,
    encoder: Sequence[str],
    output: Path,
    frames: bytes | None = None,
) -> None:
    """One pass of ffmpeg: read, filter, encode, write aside and rename.

    Args:
      clip: name for error messages.
      source: input options, ending in `-i` and the file (`pipe:0` for `frames`).
      filters: filter graph with one input and one output; may be empty.
      encoder: encoder options.
      output: file to write; its suffix chooses the container.
      frames: bytes for ffmpeg's standard input.

    Raises:
      ClipError: ffmpeg failed; names the clip and carries ffmpeg's last lines.
    """
    graph = ",".join(part for part in (f"setpts=N/{FPS}/TB", filters) if part)
    # Named by process: an ffmpeg that outlived a killed job must not write into its successor's file.
    part = output.with_name(f".{output.stem}.part{os.getpid()}{output.suffix}")
    options = [
        "-vf",
        graph,
        "-an",
        "-fps_mode",
        "passthrough",
        "-map_metadata",
        "-1",
        "-threads",
        "1",
    ]
    exact = ["-fflags", "+bitexact", "-flags:v", "+bitexact"]
    try:
        _run(clip, ["-threads", "1", *source, *options, *encoder, *exact, str(part)], frames)
        os.replace(part, output)
    finally:
        part.unlink(missing_ok=True)


def vmaf(clip: str, distorted: Path, reference: Path, work: Path) -> tuple[float, int]:
    """Mean VMAF of one file against another of the same size, and the number of frames compared.

    Args:
      clip: name for error messages.
      distorted: the file to measure, as stored.
      reference: its pristine source.
      work: folder for libvmaf's log.

    Returns:
      Mean over frames of VMAF (model v0.6.1, 0 to 100), and how many frames went into it.
    """
    clock = f"setpts=N/{FPS}/TB"
    graph = (
        f"[0:v]{clock}[d];[1:v]{clock}[r];[d][r]libvmaf=n_threads=1:log_fmt=json:log_path=vmaf.json"
    )
    inputs = ["-threads", "1", "-i", str(distorted.resolve())]
    inputs += ["-threads", "1", "-i", str(reference.resolve())]
    _run(clip, [*inputs, "-lavfi", graph, "-f", "null", "-"], None, work)
    log = json.loads((work / "vmaf.json").read_text())
    return float(log["pooled_metrics"]["vmaf"]["mean"]), len(log["frames"])


def _run(clip: str, arguments: Sequence[str], stdin: bytes | None, cwd: Path | None = None) -> None:
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-hide_banner",
        "-nostats",
        "-loglevel",
        "error",
        "-y",
    ]
    command += ["-filter_threads", "1", "-filter_complex_threads", "1", *arguments]
    if stdin is None:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, cwd=cwd)
    else:
        done = subprocess.run(command, input=stdin, capture_output=True, cwd=cwd)
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()[-8:]
        raise ClipError(
            f"{clip}: ffmpeg ended with code {done.returncode}. Its last lines:\n"
            + "\n".join(lines)
        )
