"""Videos → per-frame features of the two frozen backbones, both on the same decoded frames."""

import functools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from a2inet_jax.backbones.convert import Params
from a2inet_jax.backbones.registry import Backbone
from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.errors import VideoError
from a2inet_jax.features import view
from a2inet_jax.features.passes import frames_at_once, longest, run_passes, schedule
from a2inet_jax.features.recipe import STREAMS, Recipe
from a2inet_jax.features.sharing import Budget, Stopwatch, Turns
from a2inet_jax.features.store import VideoFeatures
from a2inet_jax.video.reader import Reader
from a2inet_jax.video.sampling import Sampling, frame_indices, patch_places

# Of a video, beside those that a pass needs: the rest of the chunks these lie in, one that is being decoded,
# one on the way to this process, and one on the way to the device.
_CHUNKS_UNDER_WAY = 5
# Each takes about 20 MB, and a data set may have thousands of frame sizes.
_MOST_PROGRAMS = 64


@dataclass(frozen=True)
class Pretrained:
    """A backbone with its parameters and the SHA-256 of the checkpoint they come from."""

    backbone: Backbone
    params: Params
    sha256: str


@dataclass(frozen=True)
class _Lane:
    """A device, the backbones' parameters on it, and the turns that threads take at it."""

    device: jax.Device
    params: Mapping[str, Params]
    turns: Turns


class Extractor:
    """The backbones on one device or several, ready for video after video, from any thread.

    Both streams see the same frames: row t of `quality` and of `semantic` describe frame `frame_index[t]`.
    A network of clips sees clips of these frames; `passes.plan` says which.

    Attributes:
      recipe: of its features.
      streams: stream → its backbone and parameters.
      spent: seconds of all threads, by "compile", "transfer" (to the device) and "compute".
    """

    def __init__(
        self,
        quality: Pretrained,
        semantic: Pretrained,
        sampling: Sampling,
        dtype: str = "float32",
        chunk: int = 8,
        memory: int = 2 << 30,
        devices: Sequence[jax.Device] | None = None,
    ) -> None:
        """Nothing is compiled yet; each new frame size is compiled once for a device.

        Args:
          quality: backbone of the quality stream.
          semantic: backbone of the semantic stream.
          sampling: frames, sizes and patches.
          dtype: of the backbones' computation.
          chunk: frames on the device at a time; fewer where they are larger than 1920×1080. A network of
            clips takes its clip, whatever their size.
          memory: bytes of decoded frames that are under way at a time, of all threads. A video that needs
            more waits until it is alone.
          devices: where to compute; the first one if not given.

        Raises:
          ValueError: the sampling makes frames or patches that are too small for a backbone.
        """
        for needed, given in (
            (semantic.backbone, sampling.short_side),
            (quality.backbone, sampling.patch_size if sampling.patches else None),
        ):
            if given is not None and given < needed.min_side:
                raise ValueError(
                    f"features.short_side or patch_size is {given}: {needed.name} needs at least "
                    f"{needed.min_side} pixels a side"
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
        self._chunk = chunk
        self._memory = Budget(memory)
        params = {name: stream.params for name, stream in self.streams.items()}
        # Two at a time keep an accelerator busy; a CPU has nothing to gain from a second.
        self._lanes = [
            _Lane(
                device, jax.device_put(params, device), Turns(1 if device.platform == "cpu" else 2)
            )
            for device in (devices or jax.local_devices()[:1])
        ]
        self._programs: dict[Any, Any] = {}
        self._compiling: dict[Any, threading.Lock] = {}

        @functools.partial(jax.jit, static_argnames="names")
        def run(
            params: Mapping[str, Params],
            places_Px2: jax.Array,
            frames_NxHxWx3: jax.Array,
            names: tuple[str, ...],
        ) -> dict[str, jax.Array]:
            backbones = {name: self.streams[name].backbone for name in names}
            return {
                name: view.features(
                    name, sampling, each, params[name], frames_NxHxWx3, places_Px2, jnp.dtype(dtype)
                )
                for name, each in backbones.items()
            }

        self._run = run

    @property
    def devices(self) -> int:
        """How many devices there are."""
        return len(self._lanes)

    @property
    def busy_s(self) -> float:
        """Seconds that the devices were at work, or were compiled for; a mean over devices."""
        return sum(lane.turns.busy_s for lane in self._lanes) / len(self._lanes)

    def extract(
        self,
        video: VideoFile,
        reader: Reader,
        device: int = 0,
        known: Mapping[str, np.ndarray] = MappingProxyType({}),
    ) -> VideoFeatures:
        """Describe the frames of one video.

        While the device works on one pass, the reader's process decodes the frames of the next one. Every
        pass of a network has the same number of frames: one compilation for each frame size.

        Args:
          video: its id decides the patches' places.
          reader: this thread's own.
          device: number of the device.
          known: features of a stream, [T, D] float16, that need not be computed.

        Raises:
          VideoError: the video can't be decoded, or its features don't fit float16.
        """
        info = reader.open(video.path, video.raw)
        indices = frame_indices(info.frames, self._sampling.frames)
        sizes = [(info.height, info.width)]
        for name, stream in self.streams.items():
            seen = view.size(name, self._sampling, info.height, info.width)
            if problem := stream.backbone.too_small(*seen):
                raise VideoError(video.path, problem)
            sizes.append(seen)
        places = patch_places(video.video_id, info.height, info.width, self._sampling)
        if len(places) and np.all(places == places[:1]):
            places = places[:1]  # the mean of equal features is each of them
        chunk = min(frames_at_once(self._chunk, *size) for size in sizes)
        takes = {
            name: stream.backbone.takes(chunk, self._sampling.clip_spacing)
            for name, stream in self.streams.items()
            if name not in known
        }
        work = schedule(len(indices), takes)

        def run(frames_NxHxWx3: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
            rows = self.compute(frames_NxHxWx3, places, names, device)
            return {
                name: _as_float16(each, video.path, self.streams[name].backbone.name)
                for name, each in rows.items()
            }

        frame_bytes = info.height * info.width * 3
        with self._memory.take((longest(work) + _CHUNKS_UNDER_WAY * chunk) * frame_bytes):
            rows = run_passes(reader.read(video.path, indices, chunk, video.raw), work, run)
        features = {**known, **{name: np.concatenate(parts) for name, parts in rows.items()}}
        return VideoFeatures(**features, frame_index=indices, timestamps=info.timestamps[indices])

    def compute(
        self,
        frames_NxHxWx3: np.ndarray,
        places_Px2: np.ndarray,
        names: tuple[str, ...] = STREAMS,
        device: int = 0,
    ) -> dict[str, np.ndarray]:
        """One pass. The thread waits: its reader's process decodes in the meantime.

        Args:
          frames_NxHxWx3: RGB, uint8.
          places_Px2: top and left of the patches that the quality stream sees, int32.
          names: the streams.
          device: number of the device.

        Returns:
          For each stream its rows, [n, width] float32, on the host.
        """
        lane = self._lanes[device]
        program = self._program(lane, places_Px2, frames_NxHxWx3, names)
        with lane.turns.take():
            with self.spent.time("transfer"):
                frames = jax.block_until_ready(jax.device_put(frames_NxHxWx3, lane.device))
            with self.spent.time("compute"):
                places = jax.device_put(places_Px2, lane.device)
                return jax.device_get(program(lane.params, places, frames))

    def _program(
        self,
        lane: _Lane,
        places_Px2: np.ndarray,
        frames_NxHxWx3: np.ndarray,
        names: tuple[str, ...],
    ) -> Any:
        """Compiled by the first thread that needs it, while others compute; who needs it too waits."""
        key = (lane.device, len(places_Px2), frames_NxHxWx3.shape, names)
        with self._compiling.setdefault(key, threading.Lock()):  # atomic in a dict
            if (program := self._programs.get(key)) is not None:
                return program
            if len(self._programs) >= _MOST_PROGRAMS:
                self._programs.clear()
                jax.clear_caches()  # which hold them as well; on disk they stay
            with self.spent.time("compile"), lane.turns.beside():
                place = jax.sharding.SingleDeviceSharding(lane.device)
                shapes = [
                    jax.ShapeDtypeStruct(each.shape, each.dtype, sharding=place)
                    for each in (places_Px2, frames_NxHxWx3)
                ]
                program = self._run.lower(lane.params, *shapes, names=names).compile()
            self._programs[key] = program
            return program


def _as_float16(features: np.ndarray, path: Path, backbone: str) -> np.ndarray:
    largest = np.abs(features).max()
    # Also true for NaN.
    if not largest <= np.finfo(np.float16).max:
        raise VideoError(
            path, f"{backbone} gives features up to {largest:g}, too large for float16"
        )
    return features.astype(np.float16)
