"""Frames a second of every frozen network, ours beside PyTorch's: `python -m benchmarks.backbones`.

Ours are timed through `description.describe`, the function that extraction calls. Before anything is timed,
features of both sides are compared on the same random weights. Calls of all sides take turns, so that what
else the machine does slows each; each number is of a side's median call. A network without a reference in
PyTorch is timed alone. PyTorch's channels lie last in memory, which is never slower on a CPU; on a GPU both
orders are timed, and compiled programs and bfloat16 as well. Needs the `bench` extra.
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

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # two frameworks share the device

import jax
import jax.numpy as jnp
import numpy as np
import torch
from absl import app, flags
from jax import lax
from jax.typing import DTypeLike

from a2inet_jax.backbones import convert
from a2inet_jax.backbones.convert import Params
from a2inet_jax.backbones.frame_features import extract_features, tile_places
from a2inet_jax.backbones.registry import BACKBONES, Backbone, parameter_shapes
from a2inet_jax.video.resize import resize_short_side
from benchmarks.torch_backbones import Described, build
from benchmarks.train import table

GPU = jax.default_backend() == "gpu" and torch.cuda.is_available()
TOLERANCE = 1e-4  # of float32, relative to the largest feature
CHECKED = (160, 224)  # size of the frames that are compared; 224 a side for networks of squares
PIXELS = 2**25 if GPU else 2**22  # of the frames of a call, at most, but one frame or clip at least
PAIR = ("resnet50_imagenet", "resnet34_unique")  # what A2INet's paper describes a frame with

_NETWORKS = flags.DEFINE_list("networks", list(BACKBONES), "Names in the table of backbones.")
_SIZES = flags.DEFINE_list("sizes", ["540x960", "1080x1920"], "Heights × widths of frames.")
_SECONDS = flags.DEFINE_float("seconds", 10 if GPU else 4, "Time of each side, once it is warm.")
_COMPILED = flags.DEFINE_bool("compiled", GPU, "Time torch.compile as well.")

Call = Callable[[], Any]  # returns when the device is done


@dataclass(frozen=True)
class Ceilings:
    """What the device reaches: FLOP/s of a large matrix product, bytes/s of a copy, read and written."""

    products: Mapping[str, float]
    copies: float


def ceilings() -> Ceilings:
    """Measured now. The copy is in place and repeated: new memory costs more than what is measured."""
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
    """What networks compute in here."""
    return ("float32", "bfloat16") if GPU else ("float32",)


def seconds(call: Call) -> float:
    """Time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def take_turns(calls: Mapping[str, Call]) -> dict[str, float]:
    """Median seconds of each call, in turns until each has had its time; three of each at least.

    Calls that take longer than that are made once.
    """
    for call in calls.values():
        call()
    found = {name: [seconds(call)] for name, call in calls.items()}
    slowest = max(times[0] for times in found.values())
    if slowest < _SECONDS.value:
        for _ in range(max(2, round(_SECONDS.value / slowest))):
            for name, call in calls.items():
                found[name].append(seconds(call))
    return {name: statistics.median(times) for name, times in found.items()}


class Side:
    """Both networks of one backbone, with the same weights."""

    def __init__(self, name: str) -> None:
        self.backbone: Backbone = BACKBONES[name]
        self.reference: Described | None = None
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
        """Noise, uint8 [B, height, width, 3]."""
        number = self.backbone.clip
        if number == 1:
            number = max(1, min(32, pixels // (height * width)))
        random = np.random.default_rng(0)
        return jnp.asarray(random.integers(0, 256, (number, height, width, 3), dtype=np.uint8))

    def ours(self, frames: jax.Array, dtype: DTypeLike) -> Call:
        """Features of frames through the public function."""
        run = jax.jit(functools.partial(extract_features, self.backbone, dtype=dtype))
        return lambda: run(self.params, frames).block_until_ready()

    def theirs(self, frames: jax.Array, dtype: str, compiled: bool, last: bool) -> Call:
        """Features of the same frames; one after another on a CPU, as ours.

        Args:
          frames: uint8.
          dtype: of the computation.
          compiled: by torch.compile.
          last: channels last in memory; first otherwise.
        """
        assert self.reference is not None
        form = torch.channels_last_3d if self.backbone.clip > 1 else torch.channels_last
        described = copy.deepcopy(self.reference)
        described.network.to(getattr(torch, dtype))
        described.network.to(memory_format=form if last else torch.contiguous_format)
        given = torch.from_numpy(np.array(prepare(self.backbone, frames)))
        given = given.to("cuda" if GPU else "cpu")
        rows = len(frames) // self.backbone.stride
        parts = 1 if GPU or self.backbone.clip > 1 else len(frames)
        if compiled:
            described.compile()

        def call() -> Any:
            with torch.inference_mode():
                each = given.chunk(parts)
                found = torch.cat([described(part, rows // parts) for part in each])
            return found.float().cpu()

        return call

    def check(self) -> None:
        """Ends the program where the sides differ."""
        if self.reference is None:
            return
        height, width = (224, 224) if self.backbone.tile else CHECKED
        frames = self.frames(height, width, 2 * height * width)
        with jax.default_matmul_precision("highest"):
            found = np.asarray(self.ours(frames, jnp.float32)())[:: self.backbone.stride]
        expected = self.theirs(frames, "float32", False, True)().numpy()
        error = np.abs(found - expected).max() / np.abs(expected).max()
        if not error <= TOLERANCE:
            raise SystemExit(f"{self.backbone.name}: features differ by {error:.1e} of the largest")

    def work(self, height: int, width: int, dtype: str) -> tuple[float, float]:
        """FLOP of a frame, and bytes that its compiled program reads and writes.

        FLOP are those of plain convolutions, whatever form the program gives them. Where a program has loops
        (networks of clips on a CPU), bytes are too few: a loop's counts once.
        """
        frames = self.frames(height, width, 1)
        traced = jax.jit(functools.partial(extract_features, self.backbone, dtype=dtype)).trace(
            self.params, frames
        )
        plain = traced.lower(lowering_platforms=("cuda",)).cost_analysis()
        compiled = traced.lower().compile().cost_analysis()
        return plain["flops"] / len(frames), compiled["bytes accessed"] / len(frames)


def prepare(backbone: Backbone, frames: jax.Array) -> jax.Array:
    """What PyTorch is given: the frames, or the squares that cover each, not timed."""
    if backbone.short_side:
        frames = resize_short_side(frames, backbone.short_side)
    side = backbone.tile
    places = tile_places(frames.shape[1], frames.shape[2], side)
    if not len(places):
        return frames
    cut = [frames[:, y : y + side, x : x + side] for y, x in places]
    return jnp.stack(cut, axis=1).reshape(-1, side, side, 3)


def measure(name: str, height: int, width: int, most: Ceilings) -> list[list[str]]:
    """Rows of the table: one of each precision."""
    both = Side(name)
    both.check()
    frames = both.frames(height, width, PIXELS)
    rows = []
    for dtype in dtypes():
        flop, moved = both.work(height, width, dtype)
        least = len(frames) * flop / most.products[dtype]
        if least > 1.5 * _SECONDS.value:
            rows.append([name, dtype, f"{least:.0f} s a call at the ceiling: too long", *[""] * 5])
            continue
        calls = {"ours": both.ours(frames, dtype)}
        if both.reference is not None:
            calls["eager"] = both.theirs(frames, dtype, compiled=False, last=True)
            if GPU:
                calls["eager, channels first"] = both.theirs(frames, dtype, False, False)
            if _COMPILED.value:
                calls["compiled"] = both.theirs(frames, dtype, compiled=True, last=True)
        times = take_turns(calls)
        speed = len(frames) / times.pop("ours")
        shares = {
            "products": speed * flop / most.products[dtype],
            "memory": speed * moved / most.copies,
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
    """ResNet-50 and ResNet-34 of the same frames in one program, bfloat16, beside PyTorch's compiled."""
    sides = [Side(name) for name in PAIR]
    frames = sides[0].frames(height, width, PIXELS)
    run = jax.jit(
        lambda params, frames: [
            extract_features(side.backbone, each, frames, jnp.bfloat16)
            for side, each in zip(sides, params)
        ]
    )
    params = [side.params for side in sides]
    theirs = [side.theirs(frames, "bfloat16", True, True) for side in sides]
    times = take_turns(
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
    """Prints the tables."""
    if len(arguments) > 1:
        raise app.UsageError(f"unknown arguments: {arguments[1:]}")
    if unknown := set(_NETWORKS.value) - BACKBONES.keys():
        raise app.UsageError(f"no backbones called {', '.join(sorted(unknown))}")
    sizes = [tuple(map(int, size.split("x"))) for size in _SIZES.value]
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch._dynamo.config.recompile_limit = (
        256  # each block of a network is one compilation of the same code
    )
    most = ceilings()
    products = ", ".join(
        f"{flops / 1e12:.2f} TFLOP/s {name}" for name, flops in most.products.items()
    )
    print(
        f"{jax.devices()[0].device_kind}, {torch.get_num_threads()} cores; JAX {jax.__version__}, "
        f"PyTorch {torch.__version__}; products {products}, copies {most.copies / 1e9:.0f} GB/s\n"
    )
    heads = ["", "", "frames/s", "of products", "of memory", "nearer limit"]
    heads += ["× PyTorch's", "× compiled"]
    for height, width in sizes:
        rows = []
        for name in _NETWORKS.value:
            print(f"{name} {height}×{width}", file=sys.stderr)
            rows += measure(name, height, width, most)
        print(f"Frames of {height}×{width}\n")
        table(heads, rows)
    if GPU:
        print(f"{' and '.join(PAIR)} together, bfloat16\n")
        table(["", "frames/s", "× PyTorch's compiled"], [pair(*size) for size in sizes])


if __name__ == "__main__":
    app.run(main)
