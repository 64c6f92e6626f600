"""A step of training, ours beside PyTorch's and beside the floor, in one run: `python -m benchmarks.train`.

Random features, the paper's head. Each row is milliseconds a step and split: the median of several timed
calls, behind those that warm up. PyTorch's features lie on the device already; ours are gathered there by the
program. Needs the `bench` extra. On a GPU the shape is KoNViD-1k's; on a CPU the ten splits have that of the
demo, as the paper's would take minutes a row.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # two frameworks share the device

import jax
import jax.numpy as jnp
import numpy as np
import torch
from absl import app, flags

from a2inet_jax.config import Placement, Train
from a2inet_jax.model import cost
from a2inet_jax.model.a2inet import A2INet
from a2inet_jax.training import batch_plan, parallel
from a2inet_jax.training import loader as feeds
from a2inet_jax.training.data import TrainingData
from benchmarks import torch_head

_MEMORY = flags.DEFINE_string("memory", None, "Only this: memory of one mode, as JSON.")
GPU = torch.cuda.is_available() and jax.default_backend() == "gpu"
WARM, REPEATS = (2, 7) if GPU else (1, 3)


@dataclass(frozen=True)
class Shape:
    """What is trained on."""

    name: str
    width: int
    widths: tuple[int, int]
    batch: int
    frames: int
    videos: int
    steps: int  # of a timed call

    def features(self) -> TrainingData:
        """Random features of videos of equal length, read from few arrays over and over."""
        random = np.random.default_rng(0)
        pool = [
            tuple(random.normal(size=(self.frames, w)).astype(np.float16) for w in self.widths)
            for _ in range(min(self.videos, 16))
        ]
        return TrainingData(
            ids=tuple(str(n) for n in range(self.videos)),
            lengths=np.full(self.videos, self.frames, np.int32),
            widths=self.widths,
            mos=random.random(self.videos),
            digest="",
            read=lambda n: pool[n % len(pool)],
        )


PAPER = Shape("B=8, T=240, D=1024, S+S", 1024, (1920, 7680), 8, 240, 200, 50 if GPU else 16)
DEMO = Shape("B=16, T=16, D=256", 256, (1920, 1280), 16, 16, 200, 12)


def timed(call: Callable[[], Any], wait: Callable[[], Any]) -> float:
    """Median seconds of a call, waited for."""
    found = []
    for _ in range(WARM + REPEATS):
        start = time.perf_counter()
        call()
        wait()
        found.append(time.perf_counter() - start)
    return statistics.median(found[WARM:])


def ours(
    shape: Shape, splits: int, dtype: str, placement: Placement = "resident", **head: Any
) -> float:
    """Milliseconds a step and split of the training engine itself."""
    model = A2INet(width=shape.width, dtype=jnp.dtype(dtype), **head)
    settings = Train(
        learning_rate=1e-4, batch_size=shape.batch, placement=placement, steps_per_call=shape.steps
    )
    runner = parallel.runner("jit", splits)
    features = shape.features()
    feed, _ = feeds.choose(features, runner, settings)
    each = np.arange(splits, dtype=np.int32)
    state = runner.create(
        model, settings, shape.widths, each.astype(np.uint32), each, np.full_like(each, 100)
    )
    random = np.random.default_rng(0)
    parts = [random.integers(0, shape.videos, shape.batch * shape.steps) for _ in each]
    labels = random.random((splits, shape.videos))
    arranged = batch_plan.arrange(parts, shape.batch)
    losses: Any = None

    def call() -> None:
        nonlocal state, losses
        for one in feed.calls(arranged, labels):
            state, losses = runner.train(
                model, settings, one.length, feed.frames, state, one.inputs
            )

    return 1e3 * timed(call, lambda: jax.block_until_ready(losses)) / splits / shape.steps


def theirs(shape: Shape, splits: int, precision: str, compiled: bool) -> float:
    """Milliseconds a step and split of the PyTorch head; several splits train one after the other."""
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    device = "cuda" if GPU else "cpu"
    data = torch_head.random_batch(shape.batch, shape.frames, shape.widths, device)
    heads = [torch_head.A2INet(shape.width, *shape.widths).to(device) for _ in range(splits)]
    steps = [torch_head.train_step(head, precision == "bf16", compiled) for head in heads]

    def call() -> None:
        for step in steps:
            for _ in range(shape.steps):
                step(*data)

    def wait() -> None:
        if GPU:
            torch.cuda.synchronize()

    return 1e3 * timed(call, wait) / splits / shape.steps


def ceilings(dtype: str) -> tuple[float, float]:
    """What the device reaches: FLOP/s of a large matrix product, and bytes/s of a copy, read and written."""
    size = 8192 if GPU else 2048
    a = jax.random.normal(jax.random.key(0), (size, size), jnp.dtype(dtype))
    big = jnp.ones(2**28 if GPU else 2**26, jnp.float32)
    product, copy = jax.jit(jnp.matmul), jax.jit(lambda x: x + 1)
    flops = 2 * size**3 / timed(lambda: None, lambda: product(a, a).block_until_ready())
    speed = 2 * big.nbytes / timed(lambda: None, lambda: copy(big).block_until_ready())
    return flops, speed


def floor(shape: Shape, dtype: str) -> float:
    """Milliseconds that the step's matrix products and Adam's traffic take at the ceilings.

    Adam reads parameter, gradient and two moments and writes all but the gradient: 28 bytes each.
    """
    flops, speed = ceilings(dtype)
    each = cost.measure(A2INet(width=shape.width), shape.widths, shape.frames)
    parameters = sum(each.parameters.values())
    return 1e3 * (shape.batch * each.training / flops + 28 * parameters / speed)


def memory(placement: Placement) -> None:
    """Prints the peak of one mode; a process of its own, as a peak never falls."""
    shape = replace(PAPER, videos=1200) if GPU else DEMO
    ours(shape, 10, "bfloat16" if GPU else "float32", placement)
    stats = jax.local_devices()[0].memory_stats() or {}
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"device": stats.get("peak_bytes_in_use"), "host": host}))


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Prints Markdown."""
    heads = list(heads)
    for row in (heads, ["---"] * len(heads), *rows):
        print("|", " | ".join(row), "|", flush=True)
    print()


def compare(shape: Shape, splits: int, dtype: str) -> None:
    """Prints PyTorch's ways, ours and the floor."""
    kinds = [("fp32", False)]
    if GPU:
        kinds += [("tf32", False), ("bf16", False), ("bf16", True)]
    found = {
        f"PyTorch {kind}{', compiled' if compiled else ''}": theirs(shape, splits, kind, compiled)
        for kind, compiled in kinds
    }
    best = min(found.values())
    for kind in dict.fromkeys((dtype, "float32")):
        found[f"a2inet_jax {kind}"] = ours(shape, splits, kind)
    lowest = floor(shape, dtype)
    found[f"floor {dtype}"] = lowest
    number = "one split" if splits == 1 else f"{splits} splits"
    print(f"{shape.name}, {number}: milliseconds a step and split\n")
    table(
        ["", "ms", "PyTorch's best is × as long", "× the floor"],
        [
            [name, f"{ms:.2f}", f"{best / ms:.2f}", f"{ms / lowest:.1f}"]
            for name, ms in found.items()
        ],
    )


def main(arguments: list[str]) -> None:
    """Checks that both heads are the same, then prints the tables."""
    if _MEMORY.value:
        memory(_MEMORY.value)  # type: ignore[arg-type]
        return
    torch_head.check()
    dtype = "bfloat16" if GPU else "float32"
    device = jax.devices()[0].device_kind
    print(f"{device}, {os.cpu_count()} cores; JAX {jax.__version__}, PyTorch {torch.__version__}\n")
    compare(PAPER, 1, dtype)
    compare(PAPER if GPU else DEMO, 10, dtype)
    shape = PAPER if GPU else DEMO
    print("As the data set grows, one split: milliseconds a step\n")
    sizes = {n: ours(replace(shape, videos=n), 1, dtype) for n in (200, 1000, 2000)}
    table(
        ["resident videos", "ms", "× 200 videos"],
        [[str(n), f"{ms:.2f}", f"{ms / sizes[200]:.2f}"] for n, ms in sizes.items()],
    )
    print("Streamed and resident, ten splits: milliseconds a step and split, GiB at the highest\n")
    rows = []
    for placement in ("resident", "streamed"):
        command = [sys.executable, "-m", "benchmarks.train", f"--memory={placement}"]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        peak = json.loads(printed.splitlines()[-1])
        ms = ours(shape, 10, dtype, placement)
        inside = "the host's" if peak["device"] is None else f"{peak['device'] / 2**30:.1f}"
        rows.append([placement, f"{ms:.2f}", inside, f"{peak['host'] / 2**30:.1f}"])
    table(["", "ms", "device", "host"], rows)


if __name__ == "__main__":
    app.run(main)
