"""Extraction from videos to stored features, beside PyTorch's: `python -m benchmarks.extract`.

ffmpeg makes clips from 240p to 4K. For each size the whole extraction runs through `extract_all`, as in
`a2inet extract`, and through a plain loop with PyTorch and decord. Both sides have the same weights, and
their features are compared first. Decoding and computing are then timed alone. A second table and a picture
(Fig. 6 of the paper) show the cost of a video of ten seconds over its height, for whole frames (FR) and for
128 preprocessed ones (PR). Needs the `bench` group.
"""

import functools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # two frameworks share the GPU

import imageio_ffmpeg
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import torch
from absl import app, flags

from a2inet_jax.backbones import convert
from a2inet_jax.backbones.frame_features import extract_features
from a2inet_jax.backbones.registry import BACKBONES, Backbone, parameter_shapes
from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.features.extract import LocalExtraction, extract_all
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.network import Network
from a2inet_jax.features.passes import frames_at_once
from a2inet_jax.features.store import open_stores
from a2inet_jax.video.reader import Reader
from a2inet_jax.video.sampling import FR, PR, Sampling, patch_positions, short_side_size
from a2inet_jax.video.worker import num_cpus
from benchmarks import torch_extract
from benchmarks.torch_backbones import FeatureExtractor, build
from benchmarks.train import table

GPU = jax.default_backend() == "gpu" and torch.cuda.is_available()
DEVICE = "cuda" if GPU else "cpu"
DTYPE = "bfloat16" if GPU else "float32"
PAIRS = {
    "sample": ("resnet18_fdim", "efficientnet_lite0"),
    "paper": ("resnet34_unique", "resnet50_imagenet"),
}
# Relative to the largest feature; both sides store float16.
TOLERANCE = {"float32": 2e-3, "bfloat16": 5e-2}
CHUNK = 32 if GPU else 8
RATE, SECONDS = 30, 10  # frame rate and length of the video in the table of costs

_PAIR = flags.DEFINE_enum("pair", "sample", list(PAIRS), "Pair of networks.")
_HEIGHTS = flags.DEFINE_list(
    "heights", ["240", "360", "540", "720", "1080", "2160"], "Heights of the 16:9 clips."
)
_MEGAPIXELS = flags.DEFINE_integer(
    "megapixels", 20000 if GPU else 24, "Megapixels of all clips together."
)
_CLIPS = flags.DEFINE_integer("clips", 2 * num_cpus() if GPU else 4, "Number of clips.")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Runs of each side; medians are reported.")
_DECODERS = flags.DEFINE_integer("decoders", num_cpus(), "Decoding processes.")
_PICTURE = flags.DEFINE_string("picture", None, "File of the picture; none if not given.")


@dataclass(frozen=True)
class Networks:
    """Both networks of the pair in JAX and in PyTorch, with the same random weights."""

    ours: tuple[Network, Network]
    theirs: tuple[FeatureExtractor, FeatureExtractor]


def build_networks() -> Networks:
    """Build the chosen pair."""
    ours, theirs = [], []
    for name in PAIRS[_PAIR.value]:
        backbone = BACKBONES[name]
        built = build(backbone)
        assert built is not None
        network, tensors = built
        params = convert.convert(tensors, parameter_shapes(backbone), backbone.layouts)
        ours.append(Network(backbone, jax.tree.map(jnp.asarray, params), "random", FR, DTYPE))
        network.network.to(dtype=getattr(torch, DTYPE), memory_format=torch.channels_last)
        theirs.append(network.to(DEVICE))
    return Networks((ours[0], ours[1]), (theirs[0], theirs[1]))


def make_clips(folder: Path, height: int) -> list[Path]:
    """Make H.264 clips of a moving pattern with noise, about `--megapixels` in all."""
    width = round(height * 16 / 9 / 2) * 2
    frames = _MEGAPIXELS.value * 10**6 // (height * width * _CLIPS.value)
    # Whole chunks, because real videos have so many that a last one that is not full costs little.
    frames = max(1, round(frames / CHUNK)) * CHUNK
    paths = []
    for index in range(_CLIPS.value):
        paths.append(folder / f"{height}p_{index}.mp4")
        source = f"testsrc2=s={width}x{height}:r={RATE},noise=alls=6:allf=t:all_seed={index}"
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", source]
        command += ["-frames:v", f"{frames}", "-c:v", "libx264", "-preset", "veryfast"]
        subprocess.run([*command, "-pix_fmt", "yuv420p", str(paths[-1])], check=True)
    return paths


def seconds(call: Callable[[], object]) -> float:
    """Return the time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def flops(backbone: Backbone, height: int, width: int) -> float:
    """Return the FLOP of one frame of this size, those of plain convolutions."""
    frames = jax.ShapeDtypeStruct((1, height, width, 3), jnp.uint8)
    run = jax.jit(functools.partial(extract_features, backbone, dtype=jnp.dtype(DTYPE)))
    plain = run.trace(parameter_shapes(backbone), frames).lower(lowering_platforms=("cuda",))
    return plain.cost_analysis()["flops"]


class Job:
    """Clips of one size, and every way to extract their features."""

    def __init__(self, networks: Networks, clips: Sequence[Path], scratch: Path) -> None:
        self._networks = networks
        self._videos = [VideoFile(path.stem, path) for path in clips]
        self._scratch = scratch
        self._runs = 0
        with Reader() as reader:
            info = reader.open(clips[0])
        self.size = info.height, info.width
        self.frames = info.num_frames * len(clips)
        self.extractor = self._open(FR)
        # The chunk that is fastest for PyTorch: on a CPU a single frame.
        self._chunk = frames_at_once(CHUNK, *self.size) if GPU else 1

    def ours(self) -> LocalExtraction:
        """Run the whole extraction into new stores; compiled programs are reused."""
        folder = self._new_folder()
        work = extract_all(
            self._videos, self.extractor, folder, lambda *_: None, _DECODERS.value, 600
        )
        if work.failures:
            raise SystemExit(f"{work.failures[0].path}: {work.failures[0].reason}")
        self.stored = open_stores(folder, self.extractor.recipes)
        return work

    def theirs(self) -> None:
        """Run the whole extraction with PyTorch."""
        self._folder = self._new_folder()
        paths = [video.path for video in self._videos]
        dtype = getattr(torch, DTYPE)
        torch_extract.extract(
            paths, self._networks.theirs, self._folder, self._chunk, dtype, DEVICE
        )

    def check(self) -> None:
        """End the program if the stored features of the two sides differ."""
        self.ours()
        self.theirs()
        for video in self._videos:
            with np.load(self._folder / f"{video.video_id}.npz") as theirs:
                expected = [theirs[name].astype(np.float32) for name in theirs]
            found = [store.read(video.video_id).features for store in self.stored.values()]
            for one, other in zip(found, expected, strict=True):
                error = np.abs(one.astype(np.float32) - other).max() / np.abs(other).max()
                if not error <= TOLERANCE[DTYPE]:
                    raise SystemExit(
                        f"{video.path.name}: features differ by {error:.1e} of the largest"
                    )

    def decode(self) -> None:
        """Decode all frames in one decoding process."""
        with Reader(600) as reader:
            for video in self._videos:
                frames = reader.open(video.path).num_frames
                chunk = frames_at_once(CHUNK, *self.size)
                for _ in reader.read(video.path, np.arange(frames), chunk):
                    pass

    def compute(self, sampling: Sampling) -> float:
        """Return the seconds that the networks take for a frame in memory."""
        extractor = self._open(sampling)
        chunk = frames_at_once(CHUNK, *self.size)
        frames = np.random.default_rng(0).integers(0, 256, (chunk, *self.size, 3), dtype=np.uint8)
        corners = {
            "quality": patch_positions("", *self.size, sampling),
            "semantic": patch_positions("", *self.size, FR),
        }
        extractor.compute(frames, corners)
        times = [seconds(lambda: extractor.compute(frames, corners)) for _ in range(_ROUNDS.value)]
        return statistics.median(times) / chunk

    def flops(self, sampling: Sampling) -> float:
        """Return the FLOP of one frame in both networks, those of plain convolutions."""
        quality, semantic = (each.backbone for each in self._networks.ours)
        patch = [min(side, sampling.patch_size) for side in self.size]
        num_patches = sampling.patches or 1
        quality_size = patch if sampling.patches else self.size
        semantic_size = self.size
        if sampling.short_side:
            semantic_size = short_side_size(*self.size, sampling.short_side)
        return num_patches * flops(quality, *quality_size) + flops(semantic, *semantic_size)

    def _open(self, sampling: Sampling) -> Extractor:
        quality, semantic = self._networks.ours
        networks = {
            "quality": replace(quality, sampling=replace(sampling, short_side=None)),
            "semantic": replace(semantic, sampling=replace(sampling, patches=0)),
        }
        return Extractor(networks, CHUNK)

    def _new_folder(self) -> Path:
        self._runs += 1
        folder = self._scratch / f"{self.size[0]}-{self._runs}"
        folder.mkdir()
        return folder


def measure(job: Job) -> tuple[list[str], float]:
    """Return a row of the first table, and the seconds of decoding a frame."""
    job.check()
    works: list[LocalExtraction] = []
    pytorch_s: list[float] = []
    decode_s: list[float] = []
    for _ in range(_ROUNDS.value):
        works.append(job.ours())
        pytorch_s.append(seconds(job.theirs))
        decode_s.append(seconds(job.decode))
    work = sorted(works, key=lambda each: each.seconds)[len(works) // 2]
    decode = statistics.median(decode_s) / job.frames
    compute = job.compute(FR)
    ours = work.seconds / job.frames
    stages_ms = {
        name: 1e3 * work.spent[name] / job.frames
        for name in ("decode", "transfer", "compute", "store")
    }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return [
        f"{job.size[0]}×{job.size[1]}",
        f"{job.frames}",
        f"{_CLIPS.value / work.seconds:.2f}",
        f"{1 / ours:.2f}",
        f"{statistics.median(pytorch_s) / work.seconds:.2f}",
        *(f"{each:.1f}" for each in stages_ms.values()),
        f"{1 - work.device_share:.0%}",
        f"{work.blocked_share:.0%}",
        f"{1e3 * decode:.1f}",
        f"{1e3 * compute:.1f}",
        f"{compute / ours:.0%}",
        f"{ours / (decode + compute):.2f}",
        f"{peak:.1f}",
    ], decode


def draw(path: Path, costs: dict[str, list[tuple[int, float, float]]]) -> None:
    """Plot FLOP and seconds of a video over its height, for FR and PR."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for column, (axis, name) in enumerate(zip(axes, ("TFLOP", "seconds")), start=1):
        for mode, rows in costs.items():
            heights = [row[0] for row in rows]
            axis.plot(heights, [row[column] for row in rows], "o-", label=mode)
        axis.set(xscale="log", yscale="log", xlabel="height of the frames", ylabel=name)
        axis.set_xticks(heights, [f"{height}" for height in heights])
        axis.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
        axis.grid(alpha=0.3)
        axis.legend()
    device = jax.devices()[0].device_kind
    figure.suptitle(
        f"A video of {SECONDS} s, {RATE} frames/s: {' and '.join(PAIRS[_PAIR.value])}, {device}"
    )
    figure.savefig(path, dpi=120)


def main(arguments: list[str]) -> None:
    """Print the tables."""
    if len(arguments) > 1:
        raise app.UsageError(f"unknown arguments: {arguments[1:]}")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    networks = build_networks()
    print(
        f"{' and '.join(PAIRS[_PAIR.value])}, {DTYPE}; {jax.devices()[0].device_kind}, "
        f"{torch.get_num_threads()} cores, {_DECODERS.value} decoding processes; JAX {jax.__version__}, "
        f"PyTorch {torch.__version__}\n"
    )
    rows = []
    costs: dict[str, list[tuple[int, float, float]]] = {"FR": [], "PR": []}
    with tempfile.TemporaryDirectory() as scratch:
        for height in map(int, _HEIGHTS.value):
            print(f"{height}p", file=sys.stderr)
            folder = Path(scratch) / f"{height}"
            folder.mkdir()
            job = Job(networks, make_clips(folder, height), folder)
            row, decode = measure(job)
            rows.append(row)
            print(" | ".join(row), file=sys.stderr, flush=True)
            for mode, sampling in (("FR", FR), ("PR", PR)):
                compute, work = job.compute(sampling), job.flops(sampling)
                frames = min(sampling.frames or RATE * SECONDS, RATE * SECONDS)
                total = RATE * SECONDS * decode + frames * compute
                costs[mode].append((height, frames * work / 1e12, total))
    print("The whole extraction; milliseconds are per frame\n")
    heads = [
        "",
        "frames",
        "videos/s",
        "frames/s",
        "× PyTorch's",
        "decode ms",
        "transfer",
        "compute",
    ]
    heads += ["store", "device waits", "decoders wait", "decode alone", "compute alone"]
    heads += ["of the networks' rate", "time ÷ (decode + compute alone)", "peak GiB"]
    table(heads, rows)
    print(f"A video of {SECONDS} s at {RATE} frames/s, from the cost per frame\n")
    lines = [
        [f"{fr[0]}p", f"{fr[1]:.2f}", f"{pr[1]:.2f}", f"{fr[2]:.1f}", f"{pr[2]:.1f}"]
        for fr, pr in zip(costs["FR"], costs["PR"])
    ]
    table(["", "TFLOP, FR", "TFLOP, PR", "s, FR", "s, PR"], lines)
    if _PICTURE.value:
        draw(Path(_PICTURE.value), costs)


if __name__ == "__main__":
    app.run(main)
