"""The features of a whole data set: those that a store lacks are extracted, what fails is listed."""

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

from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.errors import DecoderDiedError, StoreError, VideoError
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.reuse import borrow, lenders
from a2inet_jax.features.store import Store, VideoFeatures
from a2inet_jax.video.reader import Reader

Progress = Callable[[str, int, int], None]
_PARTS = ("compile", "transfer", "compute", "store")


@dataclass(frozen=True)
class Failure:
    """A video that could not be described, and why."""

    video_id: str
    path: Path
    reason: str


@dataclass(frozen=True)
class Work:
    """What an extraction did, and how long its parts took.

    Attributes:
      failures: videos that failed, in the order of the videos.
      videos: that were described.
      frames: of these.
      seconds: from beginning to end.
      device_share: of this time that the devices were at work, or were compiled for; they waited for frames
        in the rest.
      blocked_share: of this time that the decoding processes were blocked, as their last frames had not been
        taken yet; a mean over them.
      spent: seconds by "decode", "transfer", "compute", "compile" and "store", added up over threads.
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
            f"{self.videos} videos, {self.frames} frames in {self.seconds:.1f} s "
            f"({self.frames / self.seconds:.1f} frames/s); the devices waited for frames "
            f"{1 - self.device_share:.0%} of the time, the decoders for the devices "
            f"{self.blocked_share:.0%}; compiling took {self.spent['compile']:.1f} s"
        )


def default_decoders() -> int:
    """A decoding process for each core that this process may use."""
    return len(os.sched_getaffinity(0))


def missing(videos: Sequence[VideoFile], store: Store) -> list[VideoFile]:
    """The videos that a store has no features of, or damaged ones, or those of a file of another size."""
    lacking = set(store.missing(video.video_id for video in videos))
    return [v for v in videos if v.video_id in lacking or not _is_current(v, store)]


def extract_all(
    videos: Sequence[VideoFile],
    extractor: Extractor,
    store: Store,
    on_progress: Progress,
    decoders: int = 1,
    timeout_s: float = 60.0,
    others: Iterable[Path] = (),
) -> Work:
    """Extract the features that a store lacks. A video that fails is listed, and the rest goes on.

    Each decoding process serves a thread, which works on a video of its own; the threads take turns at the
    devices. A decoding process that dies or takes too long is replaced, and its video tried once more. The
    features don't depend on how many there are.

    What is in the store is left as it is, so that a job that was killed goes on where it was; unless it is
    damaged, or the video's file is another by its size or raw format. Features of videos that are gone are
    kept.

    Args:
      videos: all videos of the data set.
      extractor: with the recipe of the store.
      store: where the features go.
      on_progress: called with (video id, videos done, videos in all), at the start and after each video.
      decoders: number of decoding processes.
      timeout_s: longest time to wait for a chunk of frames.
      others: folders of stores of the same videos; a stream that one of them has is taken from there.

    Raises:
      ValueError: extractor and store have different recipes, or there is no decoder.
      OSError: the store can't be written.
    """
    if extractor.recipe != store.recipe:
        raise ValueError(
            f"the extractor and {store.folder} differ: {extractor.recipe.differences(store.recipe)}"
        )
    if decoders < 1:
        raise ValueError(f"features.decoders is {decoders}: at least one is needed")
    start, busy = time.monotonic(), extractor.busy_s
    before = {name: extractor.spent[name] for name in _PARTS}
    store.sweep()
    todo = missing(videos, store)
    done = len(videos) - len(todo)
    on_progress("", done, len(videos))
    lending = lenders(store.recipe, others) if todo else []
    crew = _Crew(extractor, store, lending, max(1, min(decoders, len(todo))), timeout_s)
    failed: dict[int, Failure] = {}
    frames = 0
    with crew:
        futures = {crew.submit(video): number for number, video in enumerate(todo)}
        for future in as_completed(futures):
            result, number = future.result(), futures[future]
            if isinstance(result, Failure):
                failed[number] = result
            else:
                frames += result
            done += 1
            on_progress(todo[number].video_id, done, len(videos))
    seconds = time.monotonic() - start
    spent = {name: extractor.spent[name] - before[name] for name in _PARTS}
    spent["decode"] = sum(reader.decoding_s for reader in crew.readers)
    return Work(
        failures=[failed[number] for number in sorted(failed)],
        videos=len(todo) - len(failed),
        frames=frames,
        seconds=seconds,
        device_share=(extractor.busy_s - busy) / seconds,
        blocked_share=sum(reader.blocked_s for reader in crew.readers)
        / (seconds * len(crew.readers)),
        spent=spent,
    )


class _Crew:
    """Threads, each with a decoding process and a device. Left early, it drops what is not done."""

    def __init__(
        self,
        extractor: Extractor,
        store: Store,
        lending: Sequence[tuple[Store, Mapping[str, str]]],
        size: int,
        timeout_s: float,
    ) -> None:
        self.readers = [Reader(timeout_s) for _ in range(size)]
        self._extractor = extractor
        self._store = store
        self._lending = lending
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="extract")
        self._stopped = Event()
        self._futures: list[Future[int | Failure]] = []
        self._seats: SimpleQueue[tuple[Reader, int]] = SimpleQueue()
        for number, reader in enumerate(self.readers):
            self._seats.put((reader, number % extractor.devices))

    def __enter__(self) -> "_Crew":
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        # A thread between two requests would start another process, so one kill may not be enough.
        while not all(future.done() for future in self._futures):
            for reader in self.readers:
                reader.kill()
            time.sleep(0.05)
        for reader in self.readers:
            reader.close()

    def submit(self, video: VideoFile) -> Future[int | Failure]:
        """Have a video described and stored; the result is its number of frames, or why there are none."""
        self._futures.append(self._pool.submit(self._work, video))
        return self._futures[-1]

    def _work(self, video: VideoFile) -> int | Failure:
        reader, device = self._seats.get()
        try:
            source = describe_source(video)
            loan = borrow(video.video_id, source, self._lending)
            features = loan.whole() or self._describe(video, reader, device, loan.streams)
            with self._extractor.spent.time("store"):
                self._store.write(video.video_id, features, source)
            return len(features.timestamps)
        except VideoError as error:
            # The error itself would keep its video's frames alive for as long as it is known.
            return Failure(video.video_id, video.path, error.reason)
        finally:
            self._seats.put((reader, device))

    def _describe(
        self, video: VideoFile, reader: Reader, device: int, known: Mapping[str, np.ndarray]
    ) -> VideoFeatures:
        deaths: list[str] = []
        while True:
            try:
                return self._extractor.extract(video, reader, device, known)
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
                    "the device's memory is too small for it: lower features.chunk, or resize the video",
                ) from None


def describe_source(video: VideoFile) -> str:
    """What tells the video's file from another one of the same name: its size, and how raw frames lie in it.

    Raises:
      VideoError: it can't be looked at.
    """
    try:
        size = f"{video.path.stat().st_size} bytes"
    except FileNotFoundError:
        raise VideoError(video.path, "does not exist") from None
    except (OSError, ValueError) as error:  # a path may be none: too long, with a NUL
        reason = error.strerror if isinstance(error, OSError) else error
        raise VideoError(video.path, f"can't be read ({reason})") from None
    return f"{size}, {video.raw}" if video.raw else size


def _is_current(video: VideoFile, store: Store) -> bool:
    try:
        stored = store.source(video.video_id)
    except (StoreError, OSError):
        return False
    try:
        return stored == describe_source(video)
    except VideoError:
        return True  # features of videos that are gone are kept
