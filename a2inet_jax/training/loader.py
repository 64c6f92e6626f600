"""The loader: turns a batch plan into chunks of steps, one per call of a jitted function.

The features are all resident on the device, where each call gathers its batches, or streamed to it chunk by
chunk, read ahead of time in threads; but for rounding, both give the same numbers.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import grain
import jax
import numpy as np
from jax.experimental import multihost_utils

from a2inet_jax.config import Train
from a2inet_jax.training import batches
from a2inet_jax.training.batches import Batch, BatchIndices, BatchPlan, FlatFeatures
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.parallel import Runner
from a2inet_jax.training.step import Inputs

GIB = 2**30
_MAX_CHUNK_BYTES = 2**28  # of streamed features; a chunk of a single step may take more
_PREFETCHED_CHUNKS = 4  # each read by its own thread


class Chunk(NamedTuple):
    """K steps for one call of a jitted function.

    Attributes:
        inputs: The steps, on the devices.
        length: T, frames that their videos are padded to.
        steps: The steps that count; the others are empty.
    """

    inputs: Inputs
    length: int
    steps: slice


class Loader:
    """The features of a data set, and the chunks of steps that use them.

    Attributes:
        features: Resident features, on every device; None if the inputs of each chunk hold their own.
    """

    def __init__(self, data: TrainingData, runner: Runner, config: Train, resident: bool) -> None:
        self._data, self._runner = data, runner
        self._max_steps = config.steps_per_call
        self._buckets = batches.bucket_lengths(data.lengths, config.num_buckets)
        self.features: FlatFeatures | None = None
        if resident:
            self.features = runner.put_features(batches.flatten(data, self._buckets[-1]))

    def chunks(self, plan: BatchPlan, label_SxN: np.ndarray, done: int = 0) -> Iterator[Chunk]:
        """Yield the steps after the first `done`, in chunks of at most `steps_per_call`.

        A chunk of streamed features has at most a quarter GiB of them.
        """
        members, _, slots = plan.indices.shape
        max_steps = self._max_steps
        if self.features is None:
            step_bytes = 2 * members * slots * self._buckets[-1] * sum(self._data.widths)
            max_steps = min(max_steps, max(1, _MAX_CHUNK_BYTES // step_bytes))
        planned = _planned_chunks(plan, max_steps, done, self._data.lengths, self._buckets)
        member_Sx1x1 = np.arange(members)[:, None, None]
        for chunk, (streams, mask) in zip(planned, self._collated(planned, members, slots)):
            indices, where = chunk.plan
            label = label_SxN.astype(np.float32)[member_Sx1x1, indices]
            inputs: Inputs = (
                Batch(streams, mask, label, where)
                if self.features is None
                else BatchIndices(indices, label, where)
            )
            yield Chunk(self._runner.put_inputs(inputs), chunk.length, chunk.steps)

    def _collated(
        self, planned: Sequence["_PlannedChunk"], members: int, slots: int
    ) -> Iterable[Any]:
        """Return streams and mask of each chunk, read ahead; nothing where features are resident."""
        if self.features is not None:
            return [((), None)] * len(planned)
        local_Sx1xB = self._runner.local_slots(members, slots)[:, None]
        source = grain.MapDataset.source(_CollatedChunks(self._data, planned, local_Sx1xB))
        options = grain.ReadOptions(
            num_threads=_PREFETCHED_CHUNKS, prefetch_buffer_size=_PREFETCHED_CHUNKS
        )
        return source.to_iter_dataset(options)


def make_loader(data: TrainingData, runner: Runner, config: Train) -> tuple[Loader, str]:
    """Return the loader, and a line that says where its features are and why.

    `config.placement` "auto" means resident if the features take no more than `config.memory_fraction` of a
    device's memory.
    """
    allowed = config.memory_fraction * device_memory()
    size = data.nbytes
    # All processes must choose the same placement.
    fits = bool(multihost_utils.process_allgather(np.array(size <= allowed)).all())
    resident = config.placement == "resident" or (config.placement == "auto" and fits)
    reason = f"{'within' if fits else 'more than'} the {allowed / GIB:.1f} GiB allowed"
    if config.placement != "auto":
        reason = "as the config says"
    name = "resident on the device" if resident else "streamed to the device"
    line = f"features: {name} ({size / GIB:.2f} GiB, {reason})"
    return Loader(data, runner, config, resident), line


def device_memory() -> int:
    """Return the bytes of a device's memory; devices that share the host's memory get equal shares."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"])
    host_memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return host_memory // jax.local_device_count()


class _PlannedChunk(NamedTuple):
    """The batch plan of one chunk; `length` and `steps` as in `Chunk`."""

    plan: BatchPlan
    length: int
    steps: slice


def _planned_chunks(
    plan: BatchPlan, max_steps: int, done: int, lengths: np.ndarray, buckets: Sequence[int]
) -> list[_PlannedChunk]:
    """Divide a plan into chunks of an equal number of steps, so that they share a compiled program.

    The boundaries and T do not depend on `done`: a resumed epoch is chunked like an uninterrupted one. Steps
    that are done are empty in the chunk that they share with others.
    """
    planned = []
    num_steps = plan.indices.shape[1]
    num_chunks = -(-num_steps // max_steps)
    size = -(-num_steps // max(num_chunks, 1))
    for start in range(0, num_steps, max(size, 1)):
        chunk = plan.steps(start, start + size)
        real = chunk.indices.shape[1]
        if start + real <= done:
            continue
        longest = lengths[chunk.indices[chunk.where]].max()
        length = batches.padded_length(longest, buckets)
        # The last chunk is filled up with empty steps.
        indices, where = (np.pad(x, ((0, 0), (0, size - real), (0, 0))) for x in chunk)
        first = max(done - start, 0)
        where[:, :first] = False
        planned.append(_PlannedChunk(BatchPlan(indices, where), length, slice(first, real)))
    return planned


class _CollatedChunks(Sequence[Any]):
    """Features of each chunk, a data source for Grain: streams `[S, K, B, T, D_i]`, mask `[S, K, B, T]`."""

    def __init__(
        self, data: TrainingData, chunks: Sequence[_PlannedChunk], local_Sx1xB: np.ndarray
    ) -> None:
        self._data, self._chunks, self._local_Sx1xB = data, chunks, local_Sx1xB

    def __len__(self) -> int:
        return len(self._chunks)

    def __getitem__(self, index: Any) -> Any:
        indices, where = self._chunks[index].plan
        length = self._chunks[index].length
        return batches.collate(self._data, indices, where & self._local_Sx1xB, length)
