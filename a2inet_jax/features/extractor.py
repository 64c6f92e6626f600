"""Extraction of per-frame features from a video by two frozen backbones, on the same decoded frames."""

import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from a2inet_jax.backbones.convert import Params
from a2inet_jax.backbones.registry import Backbone
from a2inet_jax.config import Features
from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.errors import ConfigError, VideoError
from a2inet_jax.features import view
from a2inet_jax.features.passes import frames_at_once, longest, run_passes, schedule
from a2inet_jax.features.recipe import STREAMS, Recipe
from a2inet_jax.features.sharing import Budget, DeviceQueue, Stopwatch
from a2inet_jax.features.store import VideoFeatures
from a2inet_jax.video.reader import Reader
from a2inet_jax.video.sampling import Sampling, frame_indices, patch_positions

# Chunks of a video in memory beside the frames of a pass: two that the pass covers only in part, one being
# decoded, one on the way to this process, and one on the way to the device.
_CHUNKS_IN_FLIGHT = 5
# A compiled program takes about 20 MB, and a data set may have thousands of frame sizes.
_MAX_COMPILED = 64


@dataclass(frozen=True)
class Pretrained:
    """A backbone with its parameters and the SHA-256 of the checkpoint that they come from."""

    backbone: Backbone
    params: Params
    sha256: str


@dataclass(frozen=True)
class _DeviceState:
    """A device, the backbones' parameters on it, and the queue of threads that use it."""

    device: jax.Device
    params: Mapping[str, Params]
    queue: DeviceQueue


class Extractor:
    """An extractor of video features that uses one or several devices, and may be called from any thread.

    Both streams see the same frames: row t of `quality` and of `semantic` belongs to frame `frame_index[t]`.
    A network of clips sees clips of these frames, see `passes.plan`.

    Attributes:
        recipe: Recipe of the features.
        streams: Stream → its backbone and parameters.
        spent: Seconds of all threads, by "compile", "transfer" (to the device) and "compute".
    """

    def __init__(
        self,
        quality: Pretrained,
        semantic: Pretrained,
        sampling: Sampling,
        dtype: str = Features.dtype,
        chunk_frames: int = Features.chunk_frames,
        memory_bytes: int = int(Features.memory_gib * 2**30),
        devices: Sequence[jax.Device] | None = None,
    ) -> None:
        """Put the parameters on the devices. Each frame size is compiled for a device when it first occurs.

        Args:
            quality: Backbone of the quality stream.
            semantic: Backbone of the semantic stream.
            sampling: Frames, sizes and patches.
            dtype: Dtype of the backbones' computation.
            chunk_frames: Frames on the device at a time, fewer if they are larger than 1920×1080. A
                network of clips takes a whole clip, whatever the frames' size.
            memory_bytes: Bytes of decoded frames in memory at a time, over all threads. A video that
                needs more waits until it can have all of it.
            devices: Devices that compute; None: the first one.

        Raises:
            ConfigError: With this sampling, frames or patches are too small for a backbone.
        """
        for pretrained, field, side in (
            (semantic, "short_side_px", sampling.short_side),
            (quality, "patch_size_px", sampling.patch_size if sampling.patches else None),
        ):
            backbone = pretrained.backbone
            if side is not None and side < backbone.min_side_px:
                raise ConfigError(
                    f"features.{field} is {side}: {backbone.name} needs at least "
                    f"{backbone.min_side_px} pixels a side"
                )
        self.recipe = Recipe(
            quality=quality.backbone.name,
            quality_sha256=quality.sha256,
            quality_normalization=quality.backbone.normalization,
            semantic=semantic.backbone.name,
            semantic_sha256=semantic.sha256,
            semantic_normalization=semantic.backbone.normalization,
            sampling=sampling,
            dtype=dtype,
        )
        self.streams = {"quality": quality, "semantic": semantic}
        self.spent = Stopwatch()
        self._sampling = sampling
        self._chunk_frames = chunk_frames
        self._memory = Budget(memory_bytes)
        params = {name: stream.params for name, stream in self.streams.items()}
        # Two threads at a time keep an accelerator busy; a CPU gains nothing from a second one.
        self._devices = [
            _DeviceState(
                device,
                jax.device_put(params, device),
                DeviceQueue(slots=1 if device.platform == "cpu" else 2),
            )
            for device in (devices or jax.local_devices()[:1])
        ]
        self._compiled: dict[Any, Any] = {}
        self._compiling: dict[Any, threading.Lock] = {}

        @functools.partial(jax.jit, static_argnames="names")
        def run(
            params: Mapping[str, Params],
            positions_Px2: jax.Array,
            frames_NxHxWx3: jax.Array,
            names: tuple[str, ...],
        ) -> dict[str, jax.Array]:
            return {
                name: view.features(
                    name,
                    sampling,
                    self.streams[name].backbone,
                    params[name],
                    frames_NxHxWx3,
                    positions_Px2,
                    jnp.dtype(dtype),
                )
                for name in names
            }

        self._run = run

    @property
    def num_devices(self) -> int:
        """Number of devices that compute."""
        return len(self._devices)

    @property
    def busy_s(self) -> float:
        """Seconds during which a device computed or was compiled for; a mean over the devices."""
        return sum(each.queue.busy_s for each in self._devices) / len(self._devices)

    def extract(
        self,
        video: VideoFile,
        reader: Reader,
        device_index: int = 0,
        known: Mapping[str, np.ndarray] = MappingProxyType({}),
        on_frames: Callable[[int, int], None] = lambda done, total: None,
    ) -> VideoFeatures:
        """Extract the features of one video.

        While the device works on one pass, the reader's process decodes the frames of the next one. All
        passes of a network have the same number of frames, so that each frame size is compiled once.

        Args:
            video: The video; its id decides the positions of the patches.
            reader: A reader that no other thread uses.
            device_index: Index of the device that computes.
            known: Features of a stream, `[T, D]` float16, that need not be computed.
            on_frames: Called with the number of frames decoded so far and of all, T.

        Raises:
            VideoError: The video cannot be decoded, its frames are too small for a backbone, or its
                features exceed float16.
        """
        # Choose the frames, and check that their size suits both backbones.
        info = reader.open(video.path, video.raw)
        indices_T = frame_indices(info.num_frames, self._sampling.frames)
        sizes = [(info.height, info.width)]
        for name, stream in self.streams.items():
            seen = view.size(name, self._sampling, info.height, info.width)
            if problem := stream.backbone.size_problem(*seen):
                raise VideoError(video.path, problem)
            sizes.append(seen)
        positions_Px2 = patch_positions(video.video_id, info.height, info.width, self._sampling)
        if len(positions_Px2) and np.all(positions_Px2 == positions_Px2[:1]):
            # Equal patches have equal features, and the mean of those is any of them.
            positions_Px2 = positions_Px2[:1]

        # Schedule the passes of the streams that are not known.
        chunk = min(frames_at_once(self._chunk_frames, *size) for size in sizes)
        takes = {
            name: stream.backbone.pass_shape(chunk, self._sampling.clip_spacing)
            for name, stream in self.streams.items()
            if name not in known
        }
        work = schedule(len(indices_T), takes)

        def run(frames_NxHxWx3: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
            rows = self.compute(frames_NxHxWx3, positions_Px2, names, device_index)
            return {
                name: _as_float16(each, video.path, self.streams[name].backbone.name)
                for name, each in rows.items()
            }

        # Decode and compute, within the memory that all threads share.
        frame_bytes = info.height * info.width * 3
        with self._memory.reserve((longest(work) + _CHUNKS_IN_FLIGHT * chunk) * frame_bytes):
            chunks = reader.read(video.path, indices_T, chunk, video.raw)
            rows = run_passes(_counted(chunks, len(indices_T), on_frames), work, run)
        computed = {name: np.concatenate(pieces) for name, pieces in rows.items()}
        return VideoFeatures(
            **known, **computed, frame_index=indices_T, timestamps=info.timestamps[indices_T]
        )

    def compute(
        self,
        frames_NxHxWx3: np.ndarray,
        positions_Px2: np.ndarray,
        names: tuple[str, ...] = STREAMS,
        device_index: int = 0,
    ) -> dict[str, np.ndarray]:
        """Run one pass, and wait for its result; the reader's process decodes in the meantime.

        Args:
            frames_NxHxWx3: RGB, uint8.
            positions_Px2: Top and left of the quality stream's patches, int32; P = 0: whole frames.
            names: Streams to compute.
            device_index: Index of the device that computes.

        Returns:
            For each stream its rows, `[N, width]` float32, on the host.
        """
        state = self._devices[device_index]
        compiled = self._compile(state, positions_Px2, frames_NxHxWx3, names)
        with state.queue.slot():
            with self.spent.time("transfer"):
                frames = jax.block_until_ready(jax.device_put(frames_NxHxWx3, state.device))
            with self.spent.time("compute"):
                positions = jax.device_put(positions_Px2, state.device)
                return jax.device_get(compiled(state.params, positions, frames))

    def _compile(
        self,
        state: _DeviceState,
        positions_Px2: np.ndarray,
        frames_NxHxWx3: np.ndarray,
        names: tuple[str, ...],
    ) -> Any:
        """Return the compiled program for these shapes.

        The first thread that needs it compiles it, while others compute; threads that need the same one wait.
        """
        key = (state.device, len(positions_Px2), frames_NxHxWx3.shape, names)
        # dict.setdefault is atomic.
        with self._compiling.setdefault(key, threading.Lock()):
            if (compiled := self._compiled.get(key)) is not None:
                return compiled
            if len(self._compiled) >= _MAX_COMPILED:
                self._compiled.clear()
                # JAX's caches in memory hold them as well; those on disk stay.
                jax.clear_caches()
            with self.spent.time("compile"), state.queue.count_as_busy():
                sharding = jax.sharding.SingleDeviceSharding(state.device)
                shapes = [
                    jax.ShapeDtypeStruct(each.shape, each.dtype, sharding=sharding)
                    for each in (positions_Px2, frames_NxHxWx3)
                ]
                compiled = self._run.lower(state.params, *shapes, names=names).compile()
            self._compiled[key] = compiled
            return compiled


def _counted(
    chunks: Iterator[np.ndarray], total: int, on_frames: Callable[[int, int], None]
) -> Iterator[np.ndarray]:
    """The chunks; after each, `on_frames` is called."""
    done = 0
    for frames_NxHxWx3 in chunks:
        yield frames_NxHxWx3
        done += len(frames_NxHxWx3)
        on_frames(done, total)


def _as_float16(features_NxD: np.ndarray, path: Path, backbone: str) -> np.ndarray:
    largest = np.abs(features_NxD).max()
    # Also true for NaN.
    if not largest <= np.finfo(np.float16).max:
        raise VideoError(
            path, f"{backbone} gives features up to {largest:g}, too large for float16"
        )
    return features_NxD.astype(np.float16)
