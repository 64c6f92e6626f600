"""Frames per second of every frozen network, beside PyTorch's: `python -m benchmarks.backbones`.

Ours are timed through `frame_features.extract_features`, which extraction calls. Before anything is timed,
the features of both sides are compared on the same random weights. Calls of all sides alternate, so that
other load on the machine slows each of them; a number is that of a side's median call. A network without a
reference in PyTorch is timed alone. PyTorch's channels are last in memory, which is never slower on a CPU; on
a GPU both memory formats are timed, and compiled programs and bfloat16 as well. Needs the `bench` group.
"""

import copy
import functools
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # two frameworks share the GPU

import jax
import jax.numpy as jnp
import numpy as np
import torch
from absl import app, flags
from jax import lax
from jax.typing import DTypeLike

from a2inet_jax.backbones import convert
from a2inet_jax.backbones.convert import Params
from a2inet_jax.backbones.frame_features import extract_features, tile_corners
from a2inet_jax.backbones.registry import BACKBONES, Backbone, parameter_shapes
from a2inet_jax.video.sampling import resize_short_side
from benchmarks.torch_backbones import FeatureExtractor, build
from benchmarks.train import table

GPU = jax.default_backend() == "gpu" and torch.cuda.is_available()
TOLERANCE = 1e-4  # in float32, relative to the largest feature
CHECKED_SIZE = (160, 224)  # height and width of the frames compared; 224×224 for networks of tiles
# Pixels of all frames of a call, at most; a call has at least one frame or clip.
PIXELS = 2**25 if GPU else 2**22
PAIR = ("resnet50_imagenet", "resnet34_unique")  # the networks of A2INet's paper

_NETWORKS = flags.DEFINE_list("networks", list(BACKBONES), "Names of backbones in the registry.")
_SIZES = flags.DEFINE_list("sizes", ["540x960", "1080x1920"], "Heights × widths of the frames.")
_SECONDS = flags.DEFINE_float("seconds", 10 if GPU else 4, "Time for each side, after warm-up.")
_COMPILED = flags.DEFINE_bool("compiled", GPU, "Also time torch.compile.")

Call = Callable[[], Any]  # returns when the device is done


@dataclass(frozen=True)
class Ceilings:
    """Measured limits of the device.

    Attributes:
        products: FLOP/s of a large matrix product, by dtype.
        copies: Bytes/s read and written by a large copy.
    """

    products: Mapping[str, float]
    copies: float


def ceilings() -> Ceilings:
    """Measure the device. The copy is repeated in place, because fresh memory would cost more."""
    size, length = (8192, 2**28) if GPU else (2048, 2**25)

    def best(call: Call) -> float:
        return min(seconds(call) for _ in range(10))

    products = {}
    for dtype in dtypes():
        a = jax.random.normal(jax.random.key(0), (size, size), jnp.dtype(dtype))
        product = jax.jit(jnp.matmul)
        product(a, a).block_until_ready()
        products[dtype] = 2 * size**3 / best(lambda: product(a, a).block_until_ready())  # noqa: B023
    big = jnp.ones(length, jnp.float32)
    copy = jax.jit(lambda x: lax.fori_loop(0, 8, lambda n, x: x + n, x)[0])
    copy(big).block_until_ready()
    return Ceilings(products, 16 * big.nbytes / best(lambda: copy(big).block_until_ready()))


def dtypes() -> tuple[str, ...]:
    """Return the dtypes to time on this device."""
    return ("float32", "bfloat16") if GPU else ("float32",)


def seconds(call: Call) -> float:
    """Return the time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def alternate(calls: Mapping[str, Call]) -> dict[str, float]:
    """Return the median seconds of each call, made in alternation until each has had `--seconds`.

    Each is made at least three times; if one takes longer than `--seconds`, each is made once.
    """
    for call in calls.values():
        call()
    times = {name: [seconds(call)] for name, call in calls.items()}
    slowest = max(each[0] for each in times.values())
    if slowest < _SECONDS.value:
        for _ in range(max(2, round(_SECONDS.value / slowest))):
            for name, call in calls.items():
                times[name].append(seconds(call))
    return {name: statistics.median(each) for name, each in times.items()}


class Backbones:
    """A backbone in JAX and, if there is one, its reference in PyTorch, with the same weights."""

    def __init__(self, name: str) -> None:
        self.backbone: Backbone = BACKBONES[name]
        self.reference: FeatureExtractor | None = None
        shapes = parameter_shapes(self.backbone)
        if built := build(self.backbone):
            self.reference, tensors = built
            self.params: Params = jax.tree.map(
                jnp.asarray, convert.convert(tensors, shapes, self.backbone.layouts)
            )
            self.reference.to("cuda" if GPU else "cpu")
        else:
            random = np.random.default_rng(0)
            self.params = jax.tree.map(
                lambda leaf: jnp.asarray(random.normal(0, 0.02, leaf.shape), jnp.float32), shapes
            )

    def frames(self, height: int, width: int, pixels: int) -> jax.Array:
        """Return noise, uint8 `[B, height, width, 3]`."""
        count = self.backbone.clip_frames
        if count == 1:
            count = max(1, min(32, pixels // (height * width)))
        random = np.random.default_rng(0)
        return jnp.asarray(random.integers(0, 256, (count, height, width, 3), dtype=np.uint8))

    def ours(self, frames: jax.Array, dtype: DTypeLike) -> Call:
        """Return a call that extracts features with the public function."""
        run = jax.jit(functools.partial(extract_features, self.backbone, dtype=dtype))
        return lambda: run(self.params, frames).block_until_ready()

    def theirs(self, frames: jax.Array, dtype: str, compiled: bool, channels_last: bool) -> Call:
        """Return a call that extracts the same features with PyTorch, frame by frame on a CPU, as ours.

        Args:
            frames: uint8 `[B, height, width, 3]`.
            dtype: Dtype of the networks.
            compiled: Use torch.compile.
            channels_last: Keep channels last in memory, otherwise first.
        """
        assert self.reference is not None
        memory_format = (
            torch.channels_last_3d if self.backbone.clip_frames > 1 else torch.channels_last
        )
        extractor = copy.deepcopy(self.reference)
        extractor.network.to(getattr(torch, dtype))
        if not channels_last:
            memory_format = torch.contiguous_format
        extractor.network.to(memory_format=memory_format)
        images = torch.from_numpy(np.array(prepare(self.backbone, frames)))
        images = images.to("cuda" if GPU else "cpu")
        rows = len(frames) // self.backbone.frames_per_row
        chunks = 1 if GPU or self.backbone.clip_frames > 1 else len(frames)
        if compiled:
            extractor.compile()

        def call() -> Any:
            with torch.inference_mode():
                features = [extractor(chunk, rows // chunks) for chunk in images.chunk(chunks)]
                result = torch.cat(features)
            return result.float().cpu()

        return call

    def check(self) -> None:
        """End the program if the features of the two sides differ."""
        if self.reference is None:
            return
        height, width = (224, 224) if self.backbone.tile_px else CHECKED_SIZE
        frames = self.frames(height, width, 2 * height * width)
        with jax.default_matmul_precision("highest"):
            found = np.asarray(self.ours(frames, jnp.float32)())[:: self.backbone.frames_per_row]
        expected = self.theirs(frames, "float32", False, True)().numpy()
        error = np.abs(found - expected).max() / np.abs(expected).max()
        if not error <= TOLERANCE:
            raise SystemExit(f"{self.backbone.name}: features differ by {error:.1e} of the largest")

    def work(self, height: int, width: int, dtype: str) -> tuple[float, float]:
        """Return the FLOP of a frame, and the bytes that its compiled program reads and writes.

        FLOP are those of plain convolutions, however the program computes them. The bytes are too few for
        programs with loops (networks of clips on a CPU), because a loop counts once.
        """
        frames = self.frames(height, width, 1)
        traced = jax.jit(functools.partial(extract_features, self.backbone, dtype=dtype)).trace(
            self.params, frames
        )
        plain = traced.lower(lowering_platforms=("cuda",)).cost_analysis()
        compiled = traced.lower().compile().cost_analysis()
        return plain["flops"] / len(frames), compiled["bytes accessed"] / len(frames)


def prepare(backbone: Backbone, frames: jax.Array) -> jax.Array:
    """Return the untimed input of PyTorch: the frames, or the tiles that cover each of them."""
    if backbone.short_side_px:
        frames = resize_short_side(frames, backbone.short_side_px)
    side = backbone.tile_px
    corners = tile_corners(frames.shape[1], frames.shape[2], side)
    if not len(corners):
        return frames
    tiles = [frames[:, y : y + side, x : x + side] for y, x in corners]
    return jnp.stack(tiles, axis=1).reshape(-1, side, side, 3)


def measure(name: str, height: int, width: int, limits: Ceilings) -> list[list[str]]:
    """Return the rows of the table, one for each dtype."""
    both = Backbones(name)
    both.check()
    frames = both.frames(height, width, PIXELS)
    rows = []
    for dtype in dtypes():
        flop, moved = both.work(height, width, dtype)
        fastest = len(frames) * flop / limits.products[dtype]
        if fastest > 1.5 * _SECONDS.value:
            rows.append([name, dtype, f"at least {fastest:.0f} s per call: too long", *[""] * 5])
            continue
        calls = {"ours": both.ours(frames, dtype)}
        if both.reference is not None:
            calls["eager"] = both.theirs(frames, dtype, compiled=False, channels_last=True)
            if GPU:
                calls["eager, channels first"] = both.theirs(
                    frames, dtype, compiled=False, channels_last=False
                )
            if _COMPILED.value:
                calls["compiled"] = both.theirs(frames, dtype, compiled=True, channels_last=True)
        times = alternate(calls)
        speed = len(frames) / times.pop("ours")
        shares = {
            "matmul": speed * flop / limits.products[dtype],
            "memory": speed * moved / limits.copies,
        }
        ratios = [
            min((found for way, found in times.items() if way.startswith(kind)), default=None)
            for kind in ("eager", "compiled")
        ]
        rows.append(
            [
                name,
                dtype,
                f"{speed:.2f}",
                *(f"{100 * share:.0f} %" for share in shares.values()),
                max(shares, key=lambda each: shares[each]),
                *(f"{found * speed / len(frames):.2f}" if found else "" for found in ratios),
            ]
        )
    return rows


def pair(height: int, width: int) -> list[str]:
    """Return a row: both networks of the pair as one bfloat16 program, beside PyTorch's compiled ones."""
    networks = [Backbones(name) for name in PAIR]
    frames = networks[0].frames(height, width, PIXELS)
    run = jax.jit(
        lambda params, frames: [
            extract_features(network.backbone, each, frames, jnp.bfloat16)
            for network, each in zip(networks, params)
        ]
    )
    params = [network.params for network in networks]
    theirs = [network.theirs(frames, "bfloat16", True, True) for network in networks]
    times = alternate(
        {
            "ours": lambda: jax.block_until_ready(run(params, frames)),
            "theirs": lambda: [call() for call in theirs],
        }
    )
    return [
        f"{height}×{width}",
        f"{len(frames) / times['ours']:.0f}",
        f"{times['theirs'] / times['ours']:.2f}",
    ]


def main(arguments: list[str]) -> None:
    """Print the tables."""
    if len(arguments) > 1:
        raise app.UsageError(f"unknown arguments: {arguments[1:]}")
    if unknown := set(_NETWORKS.value) - BACKBONES.keys():
        raise app.UsageError(f"no backbones called {', '.join(sorted(unknown))}")
    sizes = [tuple(map(int, size.split("x"))) for size in _SIZES.value]
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    # Each block of a network is another compilation of the same code.
    torch._dynamo.config.recompile_limit = 256
    limits = ceilings()
    products = ", ".join(
        f"{flops / 1e12:.2f} TFLOP/s {name}" for name, flops in limits.products.items()
    )
    print(
        f"{jax.devices()[0].device_kind}, {torch.get_num_threads()} cores; JAX {jax.__version__}, "
        f"PyTorch {torch.__version__}; matrix products {products}, copies {limits.copies / 1e9:.0f} GB/s\n"
    )
    heads = ["", "", "frames/s", "of matmul rate", "of copy rate", "nearer limit"]
    heads += ["× PyTorch's", "× compiled"]
    for height, width in sizes:
        rows = []
        for name in _NETWORKS.value:
            print(f"{name} {height}×{width}", file=sys.stderr)
            rows += measure(name, height, width, limits)
        print(f"Frames of {height}×{width}\n")
        table(heads, rows)
    if GPU:
        print(f"{' and '.join(PAIR)} together, bfloat16\n")
        table(["", "frames/s", "× PyTorch's compiled"], [pair(*size) for size in sizes])


if __name__ == "__main__":
    app.run(main)
