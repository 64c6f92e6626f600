"""The bundled ffmpeg, run on one thread with bit-exact flags. If it fails, ClipError has its last lines."""

import json
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import imageio_ffmpeg

from a2inet_jax.errors import ClipError
from a2inet_jax.video.ffmpeg import run_ffmpeg

FPS = 25
SWS = "flags=bicubic+accurate_rnd+full_chroma_int+bitexact"
_CLOCK = f"setpts=N/{FPS}/TB"


def options(text: str) -> tuple[str, ...]:
    """Split options at blanks."""
    return tuple(text.split())


def h264(crf: int) -> tuple[str, ...]:
    """Return encoder options for H.264 of constant rate factor `crf`."""
    return options(f"-c:v libx264 -preset veryfast -crf {crf} -pix_fmt yuv420p")


def hevc(crf: int) -> tuple[str, ...]:
    """Return encoder options for HEVC of constant rate factor `crf`."""
    one_thread = "pools=none:frame-threads=1:log-level=error"
    return options(
        f"-c:v libx265 -preset ultrafast -crf {crf} -x265-params {one_thread} -tag:v hvc1 -pix_fmt yuv420p"
    )


@cache
def version() -> str:
    """Return the version of ffmpeg; another version may produce other bytes and labels."""
    return str(imageio_ffmpeg.get_ffmpeg_version())


def convert(
    source: Sequence[str],
    filters: str,
    encoder: Sequence[str],
    output: Path,
    frames: bytes = b"",
) -> None:
    """Read, filter and encode in one pass of ffmpeg; the output file appears only when it is complete.

    Args:
        source: Input options, ending in `-i` and the file (`pipe:0` for `frames`).
        filters: Filter graph with one input and one output; may be empty.
        encoder: Encoder options.
        output: The file to write; its suffix decides the container.
        frames: Bytes for ffmpeg's standard input.
    """
    graph = f"{_CLOCK},{filters}" if filters else _CLOCK
    # The process id is in the name: an ffmpeg that survives a killed job must not write into the file of the
    # next job.
    partial = output.with_name(f".{output.stem}.part{os.getpid()}{output.suffix}")
    general = options("-an -fps_mode passthrough -map_metadata -1 -threads 1")
    exact = options("-fflags +bitexact -flags:v +bitexact")
    try:
        _run([*source, "-vf", graph, *general, *encoder, *exact, str(partial)], stdin=frames)
        os.replace(partial, output)
    finally:
        partial.unlink(missing_ok=True)


def vmaf(distorted: Path, reference: Path, work: Path) -> tuple[float, int]:
    """Measure the VMAF of a stored file against its pristine source, with libvmaf's log in folder `work`.

    Returns:
        Mean VMAF over the frames (model v0.6.1, 0 to 100), and the number of frames compared.
    """
    measure = "libvmaf=n_threads=1:log_fmt=json:log_path=vmaf.json"
    graph = f"[0:v]{_CLOCK}[d];[1:v]{_CLOCK}[r];[d][r]{measure}"
    inputs = ["-i", str(distorted.resolve()), "-threads", "1", "-i", str(reference.resolve())]
    _run([*inputs, "-lavfi", graph, "-f", "null", "-"], cwd=work)
    log = json.loads((work / "vmaf.json").read_text())
    return float(log["pooled_metrics"]["vmaf"]["mean"]), len(log["frames"])


def _run(arguments: Sequence[str], stdin: bytes = b"", cwd: Path | None = None) -> None:
    done = run_ffmpeg(["-y", "-filter_complex_threads", "1", *arguments], stdin=stdin, cwd=cwd)
    if done.returncode != 0:
        lines = "\n".join(done.stderr.decode(errors="replace").strip().splitlines()[-8:])
        raise ClipError(f"ffmpeg failed with exit code {done.returncode}. Its last lines:\n{lines}")
