"""The ffmpeg of imageio-ffmpeg, run on one thread with bit-exact flags; errors carry its last lines."""

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
    """Return encoder options for H.264 of constant rate factor `crf`."""
    return ("-c:v", "libx264", "-preset", "veryfast", "-crf", str(crf), "-pix_fmt", "yuv420p")


def hevc(crf: int) -> tuple[str, ...]:
    """Return encoder options for HEVC of constant rate factor `crf`."""
    one_thread = "pools=none:frame-threads=1:log-level=error"
    options = ("-preset", "ultrafast", "-crf", str(crf), "-x265-params", one_thread)
    return ("-c:v", "libx265", *options, "-tag:v", "hvc1", "-pix_fmt", "yuv420p")


@cache
def version() -> str:
    """Return the version of ffmpeg; another version may produce other bytes and labels."""
    return str(imageio_ffmpeg.get_ffmpeg_version())


def convert(
    clip: str,
    source: Sequence[str],
    filters: str,
    encoder: Sequence[str],
    output: Path,
    frames: bytes | None = None,
) -> None:
    """Read, filter and encode in one pass of ffmpeg; the output file appears only when it is complete.

    Args:
        clip: Id of the clip, for error messages.
        source: Input options, ending in `-i` and the file (`pipe:0` for `frames`).
        filters: Filter graph with one input and one output; may be empty.
        encoder: Encoder options.
        output: The file to write; its suffix decides the container.
        frames: Bytes for ffmpeg's standard input.

    Raises:
        ClipError: ffmpeg failed; names the clip and ends with ffmpeg's last lines.
    """
    graph = ",".join(each for each in (f"setpts=N/{FPS}/TB", filters) if each)
    # The process id is in the name: an ffmpeg that survives a killed job must not write into the file of the
    # next job.
    partial = output.with_name(f".{output.stem}.part{os.getpid()}{output.suffix}")
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
        _run(clip, ["-threads", "1", *source, *options, *encoder, *exact, str(partial)], frames)
        os.replace(partial, output)
    finally:
        partial.unlink(missing_ok=True)


def vmaf(clip: str, distorted: Path, reference: Path, work: Path) -> tuple[float, int]:
    """Measure the VMAF of a file against a reference of the same size.

    Args:
        clip: Id of the clip, for error messages.
        distorted: The file to measure, as stored.
        reference: Its pristine source.
        work: Folder for libvmaf's log.

    Returns:
        Mean VMAF over the frames (model v0.6.1, 0 to 100), and the number of frames compared.
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
            f"{clip}: ffmpeg failed with exit code {done.returncode}. Its last lines:\n"
            + "\n".join(lines)
        )
