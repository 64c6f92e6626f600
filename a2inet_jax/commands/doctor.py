"""`a2inet doctor`: versions, devices, decoders, weights and cache, and the scoring of a short clip."""

import argparse
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from a2inet_jax.commands.options import DEFAULT_RUN, add_command

_PACKAGES = ("a2inet-jax", "jax", "jaxlib", "flax", "orbax-checkpoint", "numpy", "decord2")
_CLIP_S = 2


class Finding(NamedTuple):
    """The result of a check; there is a remedy where something is wrong."""

    text: str
    remedy: str = ""


def add_verb(verbs: Any) -> None:
    """Declare `a2inet doctor`."""
    verb = add_command(verbs, "doctor", _run)
    verb.add_argument(
        "--run",
        type=Path,
        metavar="RUN",
        help=f"score the clip with this run (default: {DEFAULT_RUN}, if it is there)",
    )


def _run(options: argparse.Namespace) -> int:
    """Check the installation, and say what to do about what is wrong.

    a2inet doctor
    a2inet doctor --run=runs/demo
    """
    from a2inet_jax.console import say

    checks: dict[str, Callable[[], Finding]] = {
        "versions": _versions,
        "devices": _devices,
        "ffmpeg": _ffmpeg,
        "decoder": _decoder,
        "cache": _cache,
        "weights": _weights,
        "scoring": lambda: _scoring(options.run),
    }
    wrong = 0
    for name, check in checks.items():
        try:
            found = check()
        except Exception as error:  # any failure of a library is a finding here
            lines = str(error).strip().splitlines() or [type(error).__name__]
            found = Finding(lines[0], "see the other findings, or reinstall a2inet-jax")
        wrong += bool(found.remedy)
        say(f"{name:<9} {found.text}", "red" if found.remedy else "")
        if found.remedy:
            say(f"{'':<9} → {found.remedy}")
    say("everything works" if not wrong else f"{wrong} of {len(checks)} checks found a problem")
    return int(wrong > 0)


def _versions() -> Finding:
    versions = [f"{name} {metadata.version(name)}" for name in _PACKAGES]
    return Finding(f"Python {platform.python_version()}, {', '.join(versions)}")


def _devices() -> Finding:
    import jax

    from a2inet_jax.training.loader import device_memory

    try:
        devices = jax.local_devices()
    except (RuntimeError, AssertionError):  # JAX asserts that the platforms it was asked for exist
        chosen = os.environ.get("JAX_PLATFORMS", "")
        remedy = f"JAX_PLATFORMS is {chosen!r}: unset it, or install 'a2inet-jax[cuda]'"
        return Finding("JAX finds no device", remedy)
    text = f"{len(devices)} × {devices[0].device_kind}, {device_memory() / 2**30:.1f} GiB each"
    if devices[0].platform == "cpu" and _has_nvidia_driver():
        return Finding(
            f"{text}; an NVIDIA driver is here, but JAX computes on the CPU",
            "pip install 'a2inet-jax[cuda]', and leave JAX_PLATFORMS unset",
        )
    return Finding(text)


def _has_nvidia_driver() -> bool:
    return bool(shutil.which("nvidia-smi")) or Path("/proc/driver/nvidia/version").is_file()


def _ffmpeg() -> Finding:
    from a2inet_jax.datasets.sample import ffmpeg

    return Finding(ffmpeg.version())


def _decoder() -> Finding:
    import decord

    return Finding(f"decord {decord.__version__}")


def _cache() -> Finding:
    from a2inet_jax.files import cache_dir

    folder = cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Finding(
            f"{folder} cannot be written: {error.strerror}",
            "allow it, or name another folder by the environment variable A2INET_HOME",
        )
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    free = shutil.disk_usage(folder).free
    return Finding(f"{folder}: {size / 1e6:.0f} MB, {free / 1e9:.0f} GB free")


def _weights() -> Finding:
    from a2inet_jax.backbones import weights

    problems = weights.verify()
    if broken := [name for name, problem in problems.items() if problem]:
        remedy = f"remove {weights.weights_path(broken[0])}, and fetch or add it again"
        return Finding(f"{', '.join(broken)}: not the recorded file", remedy)
    return Finding(
        ", ".join(problems) or "none yet; `a2inet weights get default` fetches the sample's"
    )


def _scoring(given: Path | None) -> Finding:
    """Decode a clip that is made here, and score it if a run and its weights are there."""
    from a2inet_jax.backbones.weights import DEFAULT, weights_path
    from a2inet_jax.build import open_extractor
    from a2inet_jax.config_file import load
    from a2inet_jax.datasets.video import VideoFile
    from a2inet_jax.scoring import Scorer
    from a2inet_jax.video.reader import Reader

    run = given or DEFAULT_RUN
    is_trained = (run / "model.safetensors").is_file()
    if given and not is_trained:
        return Finding(f"no trained run in {run}", "name one, or train it: a2inet demo")
    with tempfile.TemporaryDirectory(prefix="a2inet-") as folder:
        clip = Path(folder, "clip.mp4")
        _make_clip(clip)
        start = time.perf_counter()
        if is_trained:
            with Scorer(run) as scorer:
                score = scorer.score(clip)
            took = time.perf_counter() - start
            return Finding(
                f"{score.score:.2f} for a test pattern of {_CLIP_S} s by {run}, in {took:.1f} s"
            )
        with Reader() as reader:
            frames = reader.open(clip).num_frames
            if not all(weights_path(name).exists() for name in DEFAULT):
                return Finding(f"{frames} frames decoded; scoring needs weights and a trained run")
            extractor = open_extractor(load("sample"))
            features = extractor.extract(VideoFile("clip", clip), reader)
        took = time.perf_counter() - start
        rows = len(features["quality"].timestamps)
        return Finding(
            f"{rows} frames through both networks in {took:.1f} s; no trained run in {run}"
        )


def _make_clip(path: Path) -> None:
    """Two seconds of a moving test pattern, H.264 at 320×240."""
    import subprocess

    import imageio_ffmpeg

    pattern = f"testsrc2=size=320x240:rate=25:duration={_CLIP_S}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", pattern]
    subprocess.run([*command, "-pix_fmt", "yuv420p", str(path)], check=True, timeout=60)
