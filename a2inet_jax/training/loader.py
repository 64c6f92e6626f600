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

from a2inet_jax.config import Train
from a2inet_jax.training import batch_plan as orders
from a2inet_jax.training.batch_plan import BatchPlan
from a2inet_jax.training.batches import Batch, Frames, Rows, collate, frames_of
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.jitted_steps import Inputs
from a2inet_jax.training.parallel import Runner

GIB = 2**30
_CALL = 2**28  # bytes of features that a call brings to the device, if it has more than one step
_AHEAD = 4  # calls that are read before they are asked for, each by a thread


class Call(NamedTuple):
    """What a call of a program is given.

    Attributes:
        inputs: K steps, on the devices.
        length: T, frames that their videos are padded to.
        steps: Which of the K are to be done; the others are empty.
    """

    inputs: Inputs
    length: int
    steps: slice


class Resident:
    """All features on the device; a call gathers its batches there.

    Attributes:
        frames: The features, on every device.
    """

    def __init__(self, features: TrainingData, runner: Runner, settings: Train) -> None:
        self._features, self._runner = features, runner
        self._buckets = orders.buckets(features.lengths, settings.num_buckets)
        self._longest_call = settings.steps_per_call
        self.frames: Frames | None = runner.put_frames(frames_of(features, self._buckets[-1]))

    def calls(self, order: BatchPlan, label_SxN: np.ndarray, done: int = 0) -> Iterator[Call]:
        """The order's steps behind the first `done`, in calls of at most `steps_per_call`."""
        for part in _parts(order, self._longest_call, done, self._features, self._buckets):
            rows, where = part.order
            inputs = Rows(rows, _labels(part.order, label_SxN), where)
            yield Call(self._runner.put_inputs(inputs), part.length, part.steps)


class Streamed:
    """A call's features are read, by threads and ahead of time, and brought to the device.

    Attributes:
        frames: None: the inputs of a call hold the features.
    """

    def __init__(self, features: TrainingData, runner: Runner, settings: Train) -> None:
        self._features, self._runner = features, runner
        self._buckets = orders.buckets(features.lengths, settings.num_buckets)
        self._longest_call = settings.steps_per_call
        self.frames: Frames | None = None

    def calls(self, order: BatchPlan, label_SxN: np.ndarray, done: int = 0) -> Iterator[Call]:
        """As `Resident.calls`, and at most a quarter GiB of features a call."""
        members, _, width = order.rows.shape
        step = 2 * members * width * self._buckets[-1] * sum(self._features.widths)
        longest = min(self._longest_call, max(1, _CALL // step))
        parts = list(_parts(order, longest, done, self._features, self._buckets))
        source = _Batches(self._features, parts, self._runner.needed(members, width)[:, None])
        options = grain.ReadOptions(num_threads=_AHEAD, prefetch_buffer_size=_AHEAD)
        batches = grain.MapDataset.source(source).to_iter_dataset(options)
        for part, (streams, mask) in zip(parts, batches):
            inputs = Batch(streams, mask, _labels(part.order, label_SxN), part.order.where)
            yield Call(self._runner.put_inputs(inputs), part.length, part.steps)


class _Part(NamedTuple):
    """An order's steps for one call; `length` and `steps` as in `Call`."""

    order: BatchPlan
    length: int
    steps: slice


def _parts(
    order: BatchPlan, longest: int, done: int, features: TrainingData, buckets: tuple[int, ...]
) -> Iterator[_Part]:
    """Cuts an order into calls of equal length, which are one compilation.

    Where the cuts are, and T, does not depend on `done`: what is resumed is cut like what was not
    stopped. Steps that are done are empty in the call that they share with others.
    """
    steps = order.rows.shape[1]
    number = -(-steps // longest)
    size = -(-steps // max(number, 1))
    for start in range(0, steps, max(size, 1)):
        part = order.steps(start, start + size)
        real = part.rows.shape[1]
        if start + real <= done:
            continue
        length = orders.bucket(features.lengths[part.rows[part.where]].max(), buckets)
        rows, where = (np.pad(x, ((0, 0), (0, size - real), (0, 0))) for x in part)
        first = max(done - start, 0)
        where[:, :first] = False
        yield _Part(BatchPlan(rows, where), length, slice(first, real))


class _Batches(Sequence[Any]):
    """Features of calls by number, as grain wants them: streams `[S, K, B, T, D_i]`, mask `[S, K, B, T]`."""

    def __init__(
        self, features: TrainingData, parts: list[_Part], needed_Sx1xB: np.ndarray
    ) -> None:
        self._features, self._parts, self._needed_Sx1xB = features, parts, needed_Sx1xB

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, number: Any) -> Any:
        rows, where = self._parts[number].order
        length = self._parts[number].length
        return collate(self._features, rows, where & self._needed_Sx1xB, length)


Loader = Resident | Streamed


def choose(features: TrainingData, runner: Runner, settings: Train) -> tuple[Loader, str]:
    """The feed that `settings.placement` names, and a line that says which and why.

    "auto" takes `Resident` if the features, and the zeros behind them, take no more than
    `settings.memory_fraction` of a device's memory.
    """
    room = settings.memory_fraction * device_memory()
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


def _labels(order: BatchPlan, label_SxN: np.ndarray) -> np.ndarray:
    """`[S, K, B]` float32."""
    members = np.arange(len(label_SxN))[:, None, None]
    return label_SxN.astype(np.float32)[members, order.rows]
