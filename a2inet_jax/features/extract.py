"""Extraction of the features that a data set's store lacks, with a list of the videos that fail."""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Event

import jax
import numpy as np

from a2inet_jax.config import Features
from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.errors import ConfigError, DecoderDiedError, StoreError, VideoError
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.reuse import reusable_stores, reuse_streams
from a2inet_jax.features.store import Store, VideoFeatures
from a2inet_jax.video.reader import Reader

Progress = Callable[[str, int, int], None]
_EXTRACTOR_STAGES = ("compile", "transfer", "compute", "store")


@dataclass(frozen=True)
class Failure:
    """A video without features, and the reason."""

    video_id: str
    path: Path
    reason: str


@dataclass(frozen=True)
class ExtractionSummary:
    """A summary of an extraction: results, and time by stage.

    Attributes:
        failures: Videos that failed, in the order of the videos.
        videos: Number of videos whose features were extracted.
        frames: Number of their frames.
        seconds: Duration of the extraction.
        device_share: Fraction of the duration in which the devices computed or were compiled for; in
            the rest they waited for frames.
        blocked_share: Fraction of the duration in which a decoding process waited for its frames to be
            taken; a mean over the processes.
        spent: Seconds by "decode", "transfer", "compute", "compile" and "store", added up over threads.
    """

    failures: list[Failure]
    videos: int
    frames: int
    seconds: float
    device_share: float
    blocked_share: float
    spent: dict[str, float]

    def __str__(self) -> str:
        if not self.videos + len(self.failures):
            return "nothing was missing"
        return (
            f"{self.videos} video{'s' * (self.videos != 1)}, {self.frames} frames in {self.seconds:.1f} s "
            f"({self.frames / self.seconds:.1f} frames/s); the devices waited for frames "
            f"{1 - self.device_share:.0%} of the time, the decoders for the devices "
            f"{self.blocked_share:.0%}; compiling took {self.spent['compile']:.1f} s"
        )


def default_num_decoders() -> int:
    """Return the number of cores that this process may use: one decoding process for each."""
    return len(os.sched_getaffinity(0))


def missing(videos: Sequence[VideoFile], store: Store) -> list[VideoFile]:
    """Return the videos to be extracted.

    These are the videos whose features a store lacks, whose feature file is damaged, and whose features were
    extracted from a different video file.
    """
    lacking = set(store.missing(video.video_id for video in videos))
    return [v for v in videos if v.video_id in lacking or not _is_current(v, store)]


def extract_all(
    videos: Sequence[VideoFile],
    extractor: Extractor,
    store: Store,
    on_progress: Progress,
    num_decoders: int = Features.num_decoders,
    timeout_s: float = Features.timeout_s,
    reuse_from: Iterable[Path] = (),
) -> ExtractionSummary:
    """Extract the features that a store lacks; a video that fails is listed, and the others continue.

    Each decoding process has a thread, which works on one video at a time; the threads share the devices. A
    decoding process that dies or takes too long is replaced, and its video is tried once more. The features
    do not depend on the number of decoding processes.

    Features in the store are left as they are, so that a job that was killed resumes where it was. They are
    extracted again if they are damaged, or if the size or raw format of the video's file has changed.
    Features of videos that no longer exist are kept.

    Args:
        videos: All videos of the data set.
        extractor: An extractor with the store's recipe.
        store: The store to be completed.
        on_progress: Called with (video id, videos done, videos in all), at the start and after each
            video.
        num_decoders: Number of decoding processes; 0: one for each core.
        timeout_s: Longest time to wait for a chunk of frames, seconds.
        reuse_from: Folders of other stores of the same videos, whose streams are reused.

    Raises:
        ConfigError: There is no decoder.
        ValueError: Extractor and store have different recipes.
        OSError: The store cannot be written.
    """
    if extractor.recipe != store.recipe:
        raise ValueError(
            "extractor and store have different recipes: "
            f"{extractor.recipe.differences(store.recipe)}"
        )
    if num_decoders < 0:
        raise ConfigError(f"features.num_decoders is {num_decoders}: it is at least 0")

    # Find out what is to be done.
    start_s, busy_before_s = time.monotonic(), extractor.busy_s
    spent_before = {stage: extractor.spent[stage] for stage in _EXTRACTOR_STAGES}
    store.sweep()
    todo = missing(videos, store)
    done = len(videos) - len(todo)
    on_progress("", done, len(videos))
    other_stores = reusable_stores(store.recipe, reuse_from) if todo else []

    # Extract, and report each video as it is done.
    num_workers = max(1, min(num_decoders or default_num_decoders(), len(todo)))
    pool = _WorkerPool(extractor, store, other_stores, num_workers, timeout_s)
    failed: dict[int, Failure] = {}
    frames = 0
    with pool:
        futures = {pool.submit(video): index for index, video in enumerate(todo)}
        for future in as_completed(futures):
            result, index = future.result(), futures[future]
            if isinstance(result, Failure):
                failed[index] = result
            else:
                frames += result
            done += 1
            on_progress(todo[index].video_id, done, len(videos))

    # Sum up.
    seconds = time.monotonic() - start_s
    spent = {stage: extractor.spent[stage] - spent_before[stage] for stage in _EXTRACTOR_STAGES}
    spent["decode"] = sum(reader.decoding_s for reader in pool.readers)
    blocked_s = sum(reader.blocked_s for reader in pool.readers)
    return ExtractionSummary(
        failures=[failed[index] for index in sorted(failed)],
        videos=len(todo) - len(failed),
        frames=frames,
        seconds=seconds,
        device_share=(extractor.busy_s - busy_before_s) / seconds,
        blocked_share=blocked_s / (seconds * num_workers),
        spent=spent,
    )


class _WorkerPool:
    """Threads, each with a decoding process and a device. Leaving its context cancels all unfinished work."""

    def __init__(
        self,
        extractor: Extractor,
        store: Store,
        other_stores: Sequence[tuple[Store, Mapping[str, str]]],
        num_workers: int,
        timeout_s: float,
    ) -> None:
        self.readers = [Reader(timeout_s) for _ in range(num_workers)]
        self._extractor = extractor
        self._store = store
        self._other_stores = other_stores
        self._threads = ThreadPoolExecutor(num_workers, thread_name_prefix="extract")
        self._stopped = Event()
        self._futures: list[Future[int | Failure]] = []
        # The reader and device index of each thread that has no video.
        self._free: SimpleQueue[tuple[Reader, int]] = SimpleQueue()
        for index, reader in enumerate(self.readers):
            self._free.put((reader, index % extractor.num_devices))

    def __enter__(self) -> "_WorkerPool":
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
        # A thread between two requests would start another process, so one kill may not be enough.
        while not all(future.done() for future in self._futures):
            for reader in self.readers:
                reader.kill()
            time.sleep(0.05)
        for reader in self.readers:
            reader.close()

    def submit(self, video: VideoFile) -> Future[int | Failure]:
        """Schedule a video; the result is its number of frames, or why it has no features."""
        self._futures.append(self._threads.submit(self._process, video))
        return self._futures[-1]

    def _process(self, video: VideoFile) -> int | Failure:
        reader, device_index = self._free.get()
        try:
            signature = file_signature(video)
            reused = reuse_streams(video.video_id, signature, self._other_stores)
            features = reused.complete() or self._extract(
                video, reader, device_index, reused.streams
            )
            with self._extractor.spent.time("store"):
                self._store.write(video.video_id, features, signature)
            return len(features.timestamps)
        except VideoError as error:
            # The error itself must not be kept: its traceback keeps the video's frames alive.
            return Failure(video.video_id, video.path, error.reason)
        finally:
            self._free.put((reader, device_index))

    def _extract(
        self,
        video: VideoFile,
        reader: Reader,
        device_index: int,
        known: Mapping[str, np.ndarray],
    ) -> VideoFeatures:
        deaths: list[str] = []
        while True:
            try:
                return self._extractor.extract(video, reader, device_index, known)
            except DecoderDiedError as error:
                deaths.append(error.reason)
                if self._stopped.is_set() or len(deaths) == 2:
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


def _is_current(video: VideoFile, store: Store) -> bool:
    try:
        stored = store.source(video.video_id)
    except (StoreError, OSError):
        return False
    try:
        return stored == file_signature(video)
    except VideoError:
        # Features of videos that no longer exist are kept.
        return True
