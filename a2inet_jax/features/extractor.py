"""Extraction of per-frame features from a video by frozen networks, all on the same decoded frames."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from a2inet_jax.backbones.convert import Params
from a2inet_jax.config import Features
from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.errors import VideoError
from a2inet_jax.features.network import Network
from a2inet_jax.features.passes import frames_at_once, longest, run_passes, schedule
from a2inet_jax.features.record import VideoFeatures
from a2inet_jax.features.sharing import Budget, DeviceQueue, Stopwatch
from a2inet_jax.video.reader import Reader
from a2inet_jax.video.sampling import frame_indices

# Chunks of a video in memory beside the frames of a pass: two that the pass covers only in part, one being
# decoded, one on the way to this process, and one on the way to the device.
_CHUNKS_IN_FLIGHT = 5
# A compiled program takes about 20 MB, and a data set may have thousands of frame sizes.
_MAX_COMPILED = 64


@dataclass(frozen=True)
class _DeviceState:
    """A device, the networks' parameters on it, and the queue of threads that use it."""

    device: jax.Device
    params: Mapping[str, Params]
    queue: DeviceQueue


class Extractor:
    """An extractor of video features that uses one or several devices, and may be called from any thread.

    All streams see the same frames: row t of each belongs to frame `frame_index[t]`. A network of clips sees
    clips of these frames, see `passes.plan`. Streams whose networks have equal recipes share one network.

    Attributes:
        networks: Stream → its network.
        recipes: Stream → recipe of its features.
        spent: Seconds of all threads, by "compile", "transfer" (to the device) and "compute".
    """

    def __init__(
        self,
        networks: Mapping[str, Network],
        chunk_frames: int = Features.chunk_frames,
        memory_bytes: int = int(Features.memory_gib * 2**30),
        devices: Sequence[jax.Device] | None = None,
    ) -> None:
        """Put the parameters on the devices. Each frame size is compiled for a device when it first occurs.

        Args:
            networks: Stream → its network; all with the same number of frames.
            chunk_frames: Frames on the device at a time, fewer if they are larger than 1920×1080. A
                network of clips takes a whole clip, whatever the frames' size.
            memory_bytes: Bytes of decoded frames in memory at a time, over all threads. A video that
                needs more waits until it can have all of it.
            devices: Devices that compute; None: the first one.

        Raises:
            ConfigError: Frames or patches are too small for a backbone.
        """
        for network in networks.values():
            network.check_sides()
        # All networks see the same frames.
        (self._num_frames,) = {network.sampling.frames for network in networks.values()}
        self.networks = dict(networks)
        self.recipes = {name: network.recipe for name, network in networks.items()}
        self.spent = Stopwatch()
        # Stream → the first stream of the same recipe, which is computed.
        first = {recipe: name for name, recipe in reversed(self.recipes.items())}
        self._computed = {name: first[recipe] for name, recipe in self.recipes.items()}
        self._chunk_frames = chunk_frames
        self._memory = Budget(memory_bytes)
        params = {name: self.networks[name].params for name in first.values()}
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

        @jax.jit
        def run(
            params: Mapping[str, Params],
            positions: Mapping[str, jax.Array],
            frames_NxHxWx3: jax.Array,
        ) -> dict[str, jax.Array]:
            return {
                name: self.networks[name].features(params[name], frames_NxHxWx3, positions_Px2)
                for name, positions_Px2 in positions.items()
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
        streams: Iterable[str] | None = None,
        on_frames: Callable[[int, int], None] = lambda done, total: None,
    ) -> dict[str, VideoFeatures]:
        """Extract the features of one video.

        While the device works on one pass, the reader's process decodes the frames of the next one. All
        passes of a network have the same number of frames, so that each frame size is compiled once.

        Args:
            video: The video; its id decides the positions of the patches.
            reader: A reader that no other thread uses.
            device_index: The device that computes.
            streams: Streams whose features are needed; None: all.
            on_frames: Called with the number of frames decoded so far and of all, T.

        Returns:
            Stream → its features, which do not depend on the others.

        Raises:
            VideoError: The video cannot be decoded, its frames are too small for a backbone, or its
                features exceed float16.
        """
        # Choose the frames, and check that their size suits the backbones.
        wanted = list(self.networks if streams is None else streams)
        names = dict.fromkeys(self._computed[name] for name in wanted)
        info = reader.open(video.path, video.raw)
        indices_T = frame_indices(info.num_frames, self._num_frames)
        size = (info.height, info.width)
        takes, chunks, positions = {}, [], {}
        for name in names:
            network = self.networks[name]
            view_size = network.view_size(*size)
            if problem := network.backbone.size_problem(*view_size):
                raise VideoError(video.path, problem)
            chunks.append(
                min(frames_at_once(self._chunk_frames, *each) for each in (size, view_size))
            )
            takes[name] = network.backbone.pass_shape(chunks[-1], network.sampling.clip_spacing)
            positions[name] = network.patch_positions(video.video_id, *size)
        chunk, work = min(chunks), schedule(len(indices_T), takes)

        def run(frames_NxHxWx3: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
            patches = {name: positions[name] for name in names}
            rows = self.compute(frames_NxHxWx3, patches, device_index)
            return {
                name: _as_float16(each, video.path, self.networks[name].backbone.name)
                for name, each in rows.items()
            }

        # Decode and compute, within the memory that all threads share.
        frame_bytes = info.height * info.width * 3
        with self._memory.reserve((longest(work) + _CHUNKS_IN_FLIGHT * chunk) * frame_bytes):
            decoded = reader.read(video.path, indices_T, chunk, video.raw)
            rows = run_passes(_counted(decoded, len(indices_T), on_frames), work, run)
        features = {name: np.concatenate(pieces) for name, pieces in rows.items()}
        timestamps = info.timestamps[indices_T]
        return {
            name: VideoFeatures(features[self._computed[name]], indices_T, timestamps)
            for name in wanted
        }

    def compute(
        self, frames_NxHxWx3: np.ndarray, positions: Mapping[str, np.ndarray], device_index: int = 0
    ) -> dict[str, np.ndarray]:
        """Run one pass, and wait for its result; the reader's process decodes in the meantime.

        Args:
            frames_NxHxWx3: RGB, uint8.
            positions: Stream to compute → its patches, `[P, 2]` int32; P = 0: whole frames.
            device_index: The device that computes.

        Returns:
            Stream → its rows, `[N, width]` float32, on the host.
        """
        state = self._devices[device_index]
        compiled = self._compile(state, positions, frames_NxHxWx3)
        with state.queue.slot():
            with self.spent.time("transfer"):
                frames = jax.block_until_ready(jax.device_put(frames_NxHxWx3, state.device))
            with self.spent.time("compute"):
                on_device = jax.device_put(dict(positions), state.device)
                return jax.device_get(compiled(state.params, on_device, frames))

    def _compile(
        self, state: _DeviceState, positions: Mapping[str, np.ndarray], frames_NxHxWx3: np.ndarray
    ) -> Any:
        """Return the compiled program for these shapes.

        The first thread that needs it compiles it, while others compute; threads that need the same one wait.
        """
        num_patches = tuple((name, len(each)) for name, each in positions.items())
        key = (state.device, frames_NxHxWx3.shape, num_patches)
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
                shapes = jax.tree.map(
                    lambda each: jax.ShapeDtypeStruct(each.shape, each.dtype, sharding=sharding),
                    (dict(positions), frames_NxHxWx3),
                )
                compiled = self._run.lower(state.params, *shapes).compile()
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
