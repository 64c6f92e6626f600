"""How features reach the programs: all of them live on the device, or each step's are brought there.

Both feeds turn an order of steps into calls of a program, with the same numbers but for rounding.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import grain
import jax
import numpy as np
from jax.experimental import multihost_utils

from a2inet_jax.training import order as orders
from a2inet_jax.training.batches import Batch, Frames, Rows, collate, frames_of
from a2inet_jax.training.features import Features
from a2inet_jax.training.order import Order
from a2inet_jax.training.parallel import Runner
from a2inet_jax.training.programs import Inputs
from a2inet_jax.training.settings import Settings

GIB = 2**30
_AHEAD = 4  # steps that are read before they are asked for, each by a thread


class Call(NamedTuple):
    """What a call of a program is given.

    Attributes:
        inputs: K steps, on the devices.
        length: T, frames that their videos are padded to.
        steps: How many of the K are steps of the order; the others, behind them, are empty.
    """

    inputs: Inputs
    length: int
    steps: int


class Resident:
    """All features on the device; a call gathers its batches there, many steps long.

    Attributes:
        frames: The features, on every device.
    """

    def __init__(self, features: Features, runner: Runner, settings: Settings) -> None:
        self._lengths = features.lengths
        self._buckets = orders.buckets(features.lengths, settings.buckets)
        self._runner = runner
        self._longest_call = settings.steps_per_call
        self.frames: Frames | None = runner.put_frames(frames_of(features, self._buckets[-1]))

    def calls(self, order: Order, label_SxN: np.ndarray) -> Iterator[Call]:
        """The order's steps in calls of equal length, at most `steps_per_call`."""
        steps = order.rows.shape[1]
        number = -(-steps // self._longest_call)
        size = -(-steps // number) if number else 0
        for start in range(0, steps, size or 1):
            part = order.steps(start, start + size)
            real = part.rows.shape[1]
            # Equal lengths are one compilation.
            part = Order(*(np.pad(x, ((0, 0), (0, size - real), (0, 0))) for x in part))
            inputs = Rows(part.rows, _labels(part, label_SxN), part.where)
            length = orders.bucket(self._lengths[part.rows[part.where]].max(), self._buckets)
            yield Call(self._runner.put_inputs(inputs), length, real)


class Streamed:
    """Every step's features are read, by threads and ahead of time, and brought to the device.

    Attributes:
        frames: None: the inputs of a call hold the features.
    """

    def __init__(self, features: Features, runner: Runner, settings: Settings) -> None:
        self._features = features
        self._buckets = orders.buckets(features.lengths, settings.buckets)
        self._runner = runner
        self.frames: Frames | None = None

    def calls(self, order: Order, label_SxN: np.ndarray) -> Iterator[Call]:
        """The order's steps, one a call."""
        source = _Steps(self._features, order, self._needed(order), self._buckets)
        options = grain.ReadOptions(num_threads=_AHEAD, prefetch_buffer_size=_AHEAD)
        steps = grain.MapDataset.source(source).to_iter_dataset(options)
        for k, (streams, mask) in enumerate(steps):
            step = order.steps(k, k + 1)
            inputs = Batch(streams, mask, _labels(step, label_SxN), step.where)
            yield Call(self._runner.put_inputs(inputs), mask.shape[-1], 1)

    def _needed(self, order: Order) -> np.ndarray:
        replicas, _, width = order.rows.shape
        return order.where & self._runner.needed(replicas, width)[:, None]


class _Steps(Sequence[Any]):
    """Steps of an order by number, as grain wants them: streams `[S, 1, B, T, D_i]`, mask `[S, 1, B, T]`."""

    def __init__(
        self, features: Features, order: Order, needed: np.ndarray, buckets: tuple[int, ...]
    ) -> None:
        self._features, self._order, self._needed, self._buckets = features, order, needed, buckets

    def __len__(self) -> int:
        return self._order.rows.shape[1]

    def __getitem__(self, k: Any) -> Any:
        rows, where = self._order.steps(k, k + 1)
        longest = self._features.lengths[rows[where]].max()
        length = orders.bucket(longest, self._buckets)
        return collate(self._features, rows, self._needed[:, k : k + 1], length)


Feed = Resident | Streamed


def choose(features: Features, runner: Runner, settings: Settings) -> tuple[Feed, str]:
    """The feed that `settings.placement` names, and a line that says which and why.

    "auto" takes `Resident` if the features, and the zeros behind them, take no more than
    `settings.memory_share` of a device's memory.
    """
    room = settings.memory_share * device_memory()
    size = features.nbytes
    # Several processes must choose the same.
    fits = bool(multihost_utils.process_allgather(np.array(size <= room)).all())
    resident = settings.placement == "resident" or (settings.placement == "auto" and fits)
    why = f"{size / GIB:.2f} GiB, {'within' if fits else 'more than'} the {room / GIB:.1f} GiB allowed"
    if settings.placement != "auto":
        why = f"{size / GIB:.2f} GiB, as the config says"
    kind: type[Resident] | type[Streamed] = Resident if resident else Streamed
    name = "resident on the device" if resident else "streamed to the device"
    return kind(features, runner, settings), f"features: {name} ({why})"


def device_memory() -> int:
    """Bytes of a device; devices that share the machine's memory have equal parts of it."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"])
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return machine // jax.local_device_count()


def _labels(order: Order, label_SxN: np.ndarray) -> np.ndarray:
    """`[S, K, B]` float32."""
    replicas = np.arange(len(label_SxN))[:, None, None]
    return label_SxN.astype(np.float32)[replicas, order.rows]
