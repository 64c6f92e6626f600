"""Extraction of the features that a data set's stores lack, with a list of the videos that fail."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import jax

from a2inet_jax import files
from a2inet_jax.config import Features
from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.errors import ConfigError, DecoderDiedError, StoreError, VideoError
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.record import VideoFeatures
from a2inet_jax.features.store import Store, open_stores
from a2inet_jax.video.reader import Reader, cancelling_pool
from a2inet_jax.video.worker import num_cpus

Progress = Callable[[str, int, int], None]
_EXTRACTOR_STAGES = ("compile", "transfer", "compute", "store")


@dataclass(frozen=True)
class Failure:
    """A video without features, and the reason."""

    video_id: str
    path: Path
    reason: str


@dataclass(frozen=True)
class Extraction:
    """The results of an extraction.

    Attributes:
        failures: Videos that failed, in the order of the videos.
        videos: Number of videos whose features were extracted.
        frames: Number of their frames.
        seconds: Duration of the extraction.
    """

    failures: list[Failure]
    videos: int
    frames: int
    seconds: float

    def __str__(self) -> str:
        if not self.videos + len(self.failures):
            return "nothing was missing"
        return (
            f"{self.videos} video{'s' * (self.videos != 1)}, {self.frames} frames in {self.seconds:.1f} s "
            f"({self.frames / self.seconds:.1f} frames/s){self._more()}"
        )

    def _more(self) -> str:
        """Return what a kind of extraction adds to the line."""
        return ""


@dataclass(frozen=True)
class LocalExtraction(Extraction):
    """An extraction on this machine, with time by stage.

    Attributes:
        device_share: Fraction of the duration in which the devices computed or were compiled for; in
            the rest they waited for frames.
        blocked_share: Fraction of the duration in which a decoding process waited for its frames to be
            taken; a mean over the processes.
        spent: Seconds by "decode", "transfer", "compute", "compile" and "store", added up over threads.
    """

    device_share: float
    blocked_share: float
    spent: dict[str, float]

    def _more(self) -> str:
        return (
            f"; the devices waited for frames {1 - self.device_share:.0%} of the time, the decoders for "
            f"the devices {self.blocked_share:.0%}; compiling took {self.spent['compile']:.1f} s"
        )


def missing(
    videos: Sequence[VideoFile], stores: Mapping[str, Store]
) -> dict[VideoFile, tuple[str, ...]]:
    """Return the videos to be extracted, each with the streams whose store lacks its features.

    A store lacks features that it has no file of, whose file is damaged, and that were extracted from a
    different video file. Of streams with the same store one stands for all.
    """
    lacking: dict[VideoFile, tuple[str, ...]] = dict.fromkeys(videos, ())
    for name in {store.folder: name for name, store in stores.items()}.values():
        absent = set(stores[name].missing(video.video_id for video in videos))
        for video in videos:
            if video.video_id in absent or not _is_current(video, stores[name]):
                lacking[video] += (name,)
    return {video: streams for video, streams in lacking.items() if streams}


def extract_all(
    videos: Sequence[VideoFile],
    extractor: Extractor,
    folder: Path,
    on_progress: Progress,
    num_decoders: int = Features.num_decoders,
    timeout_s: float = Features.timeout_s,
) -> LocalExtraction:
    """Extract the features that stores lack; a video that fails is listed, and the others continue.

    A video is decoded once for all networks whose stores lack it; networks whose stores have it are left out.

    Each decoding process has a thread, which works on one video at a time; the threads share the devices. A
    decoding process that dies or takes too long is replaced, and its video is tried once more. The features
    do not depend on the number of decoding processes.

    Features in a store are left as they are, so that a job that was killed resumes where it was. They are
    extracted again if they are damaged, or if the size or raw format of the video's file has changed.
    Features of videos that no longer exist are kept.

    Args:
        videos: All videos of the data set.
        extractor: The networks.
        folder: Folder of their stores.
        on_progress: Called with (video id, videos done, videos in all), at the start and after each
            video.
        num_decoders: Number of decoding processes; 0: one for each core.
        timeout_s: Longest time to wait for a chunk of frames, seconds.

    Raises:
        ConfigError: The number of decoding processes is negative.
        StoreError: The folder holds files of an earlier version.
        OSError: A store cannot be written.
    """
    if num_decoders < 0:
        raise ConfigError(f"features.num_decoders is {num_decoders}: it is at least 0")

    # Find out what is to be done.
    start_s, busy_before_s = time.monotonic(), extractor.busy_s
    spent_before = {stage: extractor.spent[stage] for stage in _EXTRACTOR_STAGES}
    stores = open_stores(folder, extractor.recipes)
    for store in stores.values():
        store.sweep()
    todo = missing(videos, stores)
    done = len(videos) - len(todo)
    on_progress("", done, len(videos))

    # Extract, and report each video as it is done.
    num_workers = max(1, min(num_decoders or num_cpus(), len(todo)))
    readers = [Reader(timeout_s) for _ in range(num_workers)]
    workers = _Workers(extractor, stores, readers)
    failed: dict[VideoFile, Failure] = {}
    frames = 0
    with contextlib.ExitStack() as stack:
        for reader in readers:
            stack.enter_context(reader)
        submit = stack.enter_context(cancelling_pool(num_workers, readers))
        futures = {
            submit(workers.process, video, streams): video for video, streams in todo.items()
        }
        for future in as_completed(futures):
            result, video = future.result(), futures[future]
            if isinstance(result, Failure):
                failed[video] = result
            else:
                frames += result
            done += 1
            on_progress(video.video_id, done, len(videos))

    # Sum up.
    seconds = time.monotonic() - start_s
    spent = {stage: extractor.spent[stage] - spent_before[stage] for stage in _EXTRACTOR_STAGES}
    spent["decode"] = sum(reader.decoding_s for reader in readers)
    blocked_s = sum(reader.blocked_s for reader in readers)
    return LocalExtraction(
        failures=[failed[video] for video in todo if video in failed],
        videos=len(todo) - len(failed),
        frames=frames,
        seconds=seconds,
        device_share=(extractor.busy_s - busy_before_s) / seconds,
        blocked_share=blocked_s / (seconds * num_workers),
        spent=spent,
    )


class _Workers:
    """Decoding processes, one for each thread that calls `process`, and the devices that they share."""

    def __init__(
        self, extractor: Extractor, stores: Mapping[str, Store], readers: Sequence[Reader]
    ) -> None:
        self._extractor = extractor
        self._stores = stores
        # The reader and device index of each thread that has no video.
        self._free: SimpleQueue[tuple[Reader, int]] = SimpleQueue()
        for index, reader in enumerate(readers):
            self._free.put((reader, index % extractor.num_devices))

    def process(self, video: VideoFile, streams: Sequence[str]) -> int | Failure:
        """Extract streams of a video; return its number of frames, or why it has no features."""
        reader, device_index = self._free.get()
        try:
            signature = file_signature(video)
            found = self._extract(video, reader, device_index, streams)
            with self._extractor.spent.time("store"):
                sha256 = _sha256(video)
                for name, features in found.items():
                    self._stores[name].write(video.video_id, features, signature, sha256)
            return len(features.timestamps)
        except VideoError as error:
            # The error itself must not be kept: its traceback keeps the video's frames alive.
            return Failure(video.video_id, video.path, error.reason)
        finally:
            self._free.put((reader, device_index))

    def _extract(
        self, video: VideoFile, reader: Reader, device_index: int, streams: Sequence[str]
    ) -> dict[str, VideoFeatures]:
        deaths: list[str] = []
        while True:
            try:
                return self._extractor.extract(video, reader, device_index, streams)
            except DecoderDiedError as error:
                deaths.append(error.reason)
                if len(deaths) == 2:
                    reasons = ", then ".join(deaths)
                    raise VideoError(video.path, f"tried twice: {reasons}") from None
            except jax.errors.JaxRuntimeError as error:
                if "RESOURCE_EXHAUSTED" not in str(error):
                    raise
                raise VideoError(
                    video.path,
                    "the device's memory is too small for it: lower features.chunk_frames, or resize "
                    "the video",
                ) from None


def file_signature(video: VideoFile) -> str:
    """Return what distinguishes a video's file from another one of the same name: size and raw format.

    Raises:
        VideoError: The file does not exist, or its size cannot be read.
    """
    try:
        size = f"{video.path.stat().st_size} bytes"
    except FileNotFoundError:
        raise VideoError(video.path, "does not exist") from None
    # ValueError: the path may be impossible, too long or with a NUL.
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise VideoError(video.path, f"can't be read ({reason})") from None
    return f"{size}, {video.raw}" if video.raw else size


def _sha256(video: VideoFile) -> str:
    try:
        return files.sha256(video.path)
    except OSError as error:
        raise VideoError(video.path, f"can't be read ({error.strerror})") from None


def _is_current(video: VideoFile, store: Store) -> bool:
    try:
        stored = store.record(video.video_id).source
    except (StoreError, OSError):
        return False
    try:
        return stored == file_signature(video)
    except VideoError:
        # Features of videos that no longer exist are kept.
        return True
