"""Whether the videos of a data set are there and can be decoded."""

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np

from a2inet_jax.datasets.video import Video, absent
from a2inet_jax.errors import VideoError
from a2inet_jax.video.reader import Reader


@dataclass(frozen=True)
class Findings:
    """What was found of a data set's videos, in their order.

    Attributes:
      present: videos that are there and can be decoded, as far as was tried.
      missing: videos whose file is not there.
      undecodable: videos that can't be decoded, and why.
      fingerprint: of the list, as `fingerprint`.
    """

    present: list[Video]
    missing: list[Video]
    undecodable: list[tuple[Video, str]]
    fingerprint: str


def fingerprint(videos: Sequence[Video]) -> str:
    """SHA-256 of the ids, labels and contents of a data set's videos, in whatever order; not of the files."""
    ordered = sorted(videos, key=lambda video: video.video_id)
    lines = [f"{video.video_id},{video.mos!r},{video.reference_id}\n" for video in ordered]
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def verify(
    videos: Sequence[Video],
    on_progress: Callable[[str, int, int], None],
    full: bool = False,
    processes: int = 0,
    timeout_s: float = 120.0,
) -> Findings:
    """Look for each video, see whether its container is whole, and decode its first frame.

    Args:
      videos: a data set.
      on_progress: called with (video id, videos done, videos in all).
      full: decode every frame.
      processes: how many decode at a time; 0: one for each core that this process may use.
      timeout_s: longest time to wait for a first frame or, with `full`, a chunk of frames.
    """
    count = processes or len(os.sched_getaffinity(0))
    readers = [Reader(timeout_s) for _ in range(max(1, min(count, len(videos))))]
    idle: SimpleQueue[Reader] = SimpleQueue()
    for reader in readers:
        idle.put(reader)

    def problem(video: Video) -> str:
        reader = idle.get()
        try:
            _decode(reader, video, full)
        except VideoError as error:
            return error.reason
        finally:
            idle.put(reader)
        return ""

    missing = absent(videos)
    gone = {video.video_id for video in missing}
    there = [video for video in videos if video.video_id not in gone]
    problems: dict[int, str] = {}
    done = len(missing)
    on_progress("", done, len(videos))
    pool = ThreadPoolExecutor(len(readers))
    jobs = {pool.submit(problem, video): number for number, video in enumerate(there)}
    try:
        for job in as_completed(jobs):
            problems[jobs[job]] = job.result()
            done += 1
            on_progress(there[jobs[job]].video_id, done, len(videos))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        # Left early: a thread between two requests would start another process, so one kill may not do.
        while not all(job.done() for job in jobs):
            for reader in readers:
                reader.kill()
            time.sleep(0.05)
        for reader in readers:
            reader.close()
    return Findings(
        [video for number, video in enumerate(there) if not problems[number]],
        missing,
        [(video, problems[number]) for number, video in enumerate(there) if problems[number]],
        fingerprint(videos),
    )


def _decode(reader: Reader, video: Video, full: bool) -> None:
    info = reader.open(video.path, video.raw)
    if full:
        for _ in reader.read(video.path, np.arange(info.frames), raw=video.raw):
            pass
