"""Time of a training step, beside PyTorch's and a lower bound ("floor"): `python -m benchmarks.train`.

The paper's head is trained on random features. Each row is milliseconds per step and split, the median of
several timed calls after warm-up. PyTorch gets batches that are on the device already; ours are gathered
there by the timed program. On a GPU the shape is that of KoNViD-1k; on a CPU ten splits have the shape of the
demo, because the paper's would take minutes per row. Needs the `bench` group.
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

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # two frameworks share the GPU

import jax
import jax.numpy as jnp
import numpy as np
import torch
from absl import app, flags

from a2inet_jax.config import Placement, Train
from a2inet_jax.model import cost
from a2inet_jax.model.a2inet import A2INet
from a2inet_jax.training import batches, parallel
from a2inet_jax.training import loader as loaders
from a2inet_jax.training.data import TrainingData
from benchmarks import torch_head

_MEMORY = flags.DEFINE_string(
    "memory", None, "Only print the peak memory of this placement, as JSON."
)
GPU = torch.cuda.is_available() and jax.default_backend() == "gpu"
WARM, REPEATS = (2, 7) if GPU else (1, 3)


@dataclass(frozen=True)
class Shape:
    """The shape of the head and its data.

    Attributes:
        name: The shape as printed.
        width: D, features of each stream after its FC layer.
        widths: Features of a frame in each stream.
        batch: Videos of a batch.
        frames: Frames of each video.
        videos: Videos of the data set.
        steps: Steps of one timed call.
    """

    name: str
    width: int
    widths: tuple[int, int]
    batch: int
    frames: int
    videos: int
    steps: int

    def data(self) -> TrainingData:
        """Make random features of equally long videos; to save memory, many videos share an array."""
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
    """Return the median seconds of `call` and the `wait` after it."""
    times = []
    for _ in range(WARM + REPEATS):
        start = time.perf_counter()
        call()
        wait()
        times.append(time.perf_counter() - start)
    return statistics.median(times[WARM:])


def ours(
    shape: Shape, splits: int, dtype: str, placement: Placement = "resident", **head: Any
) -> float:
    """Return milliseconds per step and split of this package's training steps."""
    model = A2INet(width=shape.width, dtype=jnp.dtype(dtype), **head)
    config = Train(
        learning_rate=1e-4, batch_size=shape.batch, placement=placement, steps_per_call=shape.steps
    )
    runner = parallel.make_runner("jit", splits)
    data = shape.data()
    loader, _ = loaders.make_loader(data, runner, config)
    index_S = np.arange(splits, dtype=np.int32)
    state = runner.create(
        model, config, shape.widths, index_S.astype(np.uint32), index_S, np.full_like(index_S, 100)
    )
    random = np.random.default_rng(0)
    subsets = [random.integers(0, shape.videos, shape.batch * shape.steps) for _ in index_S]
    label_SxN = random.random((splits, shape.videos))
    plan = batches.in_order(subsets, shape.batch)
    losses: Any = None

    def call() -> None:
        nonlocal state, losses
        for chunk in loader.chunks(plan, label_SxN):
            state, losses = runner.train(
                model, config, chunk.length, loader.features, state, chunk.inputs
            )

    return 1e3 * timed(call, lambda: jax.block_until_ready(losses)) / splits / shape.steps


def theirs(shape: Shape, splits: int, precision: str, compiled: bool) -> float:
    """Return milliseconds per step and split of the PyTorch head, splits trained one after the other."""
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
    """Measure the device: FLOP/s of a large matrix product, and bytes/s read and written by a copy."""
    size = 8192 if GPU else 2048
    a = jax.random.normal(jax.random.key(0), (size, size), jnp.dtype(dtype))
    big = jnp.ones(2**28 if GPU else 2**26, jnp.float32)
    product, copy = jax.jit(jnp.matmul), jax.jit(lambda x: x + 1)
    flops_per_s = 2 * size**3 / timed(lambda: None, lambda: product(a, a).block_until_ready())
    bytes_per_s = 2 * big.nbytes / timed(lambda: None, lambda: copy(big).block_until_ready())
    return flops_per_s, bytes_per_s


def floor(shape: Shape, dtype: str) -> float:
    """Return the milliseconds of a step's matrix products and Adam's memory traffic at the ceilings.

    For each parameter Adam reads it, its gradient and two moments, and writes all but the gradient: 28 bytes.
    """
    flops_per_s, bytes_per_s = ceilings(dtype)
    of_video = cost.measure(A2INet(width=shape.width), shape.widths, shape.frames)
    parameters = sum(of_video.parameters.values())
    return 1e3 * (
        shape.batch * of_video.training_step / flops_per_s + 28 * parameters / bytes_per_s
    )


def memory(placement: Placement) -> None:
    """Print the peak memory of one placement; run in its own process, because a peak never falls."""
    shape = replace(PAPER, videos=1200) if GPU else DEMO
    ours(shape, 10, "bfloat16" if GPU else "float32", placement)
    stats = jax.local_devices()[0].memory_stats() or {}
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"device": stats.get("peak_bytes_in_use"), "host": host}))


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print a Markdown table."""
    heads = list(heads)
    for row in (heads, ["---"] * len(heads), *rows):
        print("|", " | ".join(row), "|", flush=True)
    print()


def compare(shape: Shape, splits: int, dtype: str) -> None:
    """Print the times of PyTorch, of this package and of the floor."""
    variants = [("fp32", False)]
    if GPU:
        variants += [("tf32", False), ("bf16", False), ("bf16", True)]
    ms_by_name = {
        f"PyTorch {precision}{', compiled' if compiled else ''}": theirs(
            shape, splits, precision, compiled
        )
        for precision, compiled in variants
    }
    best = min(ms_by_name.values())
    for each in dict.fromkeys((dtype, "float32")):
        ms_by_name[f"a2inet_jax {each}"] = ours(shape, splits, each)
    lowest = floor(shape, dtype)
    ms_by_name[f"floor {dtype}"] = lowest
    number = "one split" if splits == 1 else f"{splits} splits"
    print(f"{shape.name}, {number}: milliseconds per step and split\n")
    table(
        ["", "ms", "speed-up over PyTorch's best", "× the floor"],
        [
            [name, f"{ms:.2f}", f"{best / ms:.2f}", f"{ms / lowest:.1f}"]
            for name, ms in ms_by_name.items()
        ],
    )


def main(arguments: list[str]) -> None:
    """Check that both heads are the same, then print the tables."""
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
    print("Growing data set, one split: milliseconds per step\n")
    ms_by_size = {n: ours(replace(shape, videos=n), 1, dtype) for n in (200, 1000, 2000)}
    table(
        ["resident videos", "ms", "× 200 videos"],
        [[str(n), f"{ms:.2f}", f"{ms / ms_by_size[200]:.2f}"] for n, ms in ms_by_size.items()],
    )
    print("Streamed and resident, ten splits: milliseconds per step and split, peak GiB\n")
    rows = []
    for placement in ("resident", "streamed"):
        command = [sys.executable, "-m", "benchmarks.train", f"--memory={placement}"]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        peak = json.loads(printed.splitlines()[-1])
        ms = ours(shape, 10, dtype, placement)
        on_device = "the host's" if peak["device"] is None else f"{peak['device'] / 2**30:.1f}"
        rows.append([placement, f"{ms:.2f}", on_device, f"{peak['host'] / 2**30:.1f}"])
    table(["", "ms", "device", "host"], rows)


if __name__ == "__main__":
    app.run(main)
