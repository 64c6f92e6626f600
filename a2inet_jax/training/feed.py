"""How features reach the programs: all of them live on the device, or each call's are brought there.

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
_CALL = 2**28  # bytes of features that a call brings to the device, if it has more than one step
_AHEAD = 4  # calls that are read before they are asked for, each by a thread


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
    """All features on the device; a call gathers its batches there.

    Attributes:
        frames: The features, on every device.
    """

    def __init__(self, features: Features, runner: Runner, settings: Settings) -> None:
        self._features, self._runner = features, runner
        self._buckets = orders.buckets(features.lengths, settings.buckets)
        self._longest_call = settings.steps_per_call
        self.frames: Frames | None = runner.put_frames(frames_of(features, self._buckets[-1]))

    def calls(self, order: Order, label_SxN: np.ndarray) -> Iterator[Call]:
        """The order's steps in calls of equal length, at most `steps_per_call`."""
        for part, steps in _parts(order, self._longest_call):
            inputs = Rows(part.rows, _labels(part, label_SxN), part.where)
            length = _length(self._features, part, self._buckets)
            yield Call(self._runner.put_inputs(inputs), length, steps)


class Streamed:
    """A call's features are read, by threads and ahead of time, and brought to the device.

    Attributes:
        frames: None: the inputs of a call hold the features.
    """

    def __init__(self, features: Features, runner: Runner, settings: Settings) -> None:
        self._features, self._runner = features, runner
        self._buckets = orders.buckets(features.lengths, settings.buckets)
        self._longest_call = settings.steps_per_call
        self.frames: Frames | None = None

    def calls(self, order: Order, label_SxN: np.ndarray) -> Iterator[Call]:
        """The order's steps in calls of equal length, at most `steps_per_call` and a quarter GiB."""
        replicas, _, width = order.rows.shape
        step = 2 * replicas * width * self._buckets[-1] * sum(self._features.widths)
        parts = list(_parts(order, min(self._longest_call, max(1, _CALL // step))))
        needed_Sx1xB = self._runner.needed(replicas, width)[:, None]
        source = _Batches(self._features, [part for part, _ in parts], needed_Sx1xB, self._buckets)
        options = grain.ReadOptions(num_threads=_AHEAD, prefetch_buffer_size=_AHEAD)
        batches = grain.MapDataset.source(source).to_iter_dataset(options)
        for (part, steps), (streams, mask) in zip(parts, batches):
            inputs = Batch(streams, mask, _labels(part, label_SxN), part.where)
            yield Call(self._runner.put_inputs(inputs), mask.shape[-1], steps)


class _Batches(Sequence[Any]):
    """Features of calls by number, as grain wants them: streams `[S, K, B, T, D_i]`, mask `[S, K, B, T]`."""

    def __init__(
        self,
        features: Features,
        parts: list[Order],
        needed_Sx1xB: np.ndarray,
        buckets: tuple[int, ...],
    ) -> None:
        self._features, self._parts = features, parts
        self._needed_Sx1xB, self._buckets = needed_Sx1xB, buckets

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, number: Any) -> Any:
        part = self._parts[number]
        length = _length(self._features, part, self._buckets)
        return collate(self._features, part.rows, part.where & self._needed_Sx1xB, length)


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


def _parts(order: Order, longest: int) -> Iterator[tuple[Order, int]]:
    """Parts of an order, of equal length, and how many steps of it each has; the rest are empty."""
    steps = order.rows.shape[1]
    number = -(-steps // longest)
    size = -(-steps // max(number, 1))
    for start in range(0, steps, max(size, 1)):
        part = order.steps(start, start + size)
        real = part.rows.shape[1]
        # Equal lengths are one compilation.
        yield Order(*(np.pad(x, ((0, 0), (0, size - real), (0, 0))) for x in part)), real


def _length(features: Features, part: Order, buckets: tuple[int, ...]) -> int:
    """Frames to pad to: the bucket of the longest video."""
    return orders.bucket(features.lengths[part.rows[part.where]].max(), buckets)


def _labels(order: Order, label_SxN: np.ndarray) -> np.ndarray:
    """`[S, K, B]` float32."""
    replicas = np.arange(len(label_SxN))[:, None, None]
    return label_SxN.astype(np.float32)[replicas, order.rows]
