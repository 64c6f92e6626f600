"""Check that the videos of a data set exist and can be decoded."""

import contextlib
import hashlib
from collections.abc import Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np

from a2inet_jax.config import Features
from a2inet_jax.datasets.scan import Progress
from a2inet_jax.datasets.video import Video, missing_videos
from a2inet_jax.errors import VideoError
from a2inet_jax.video.reader import Reader, cancelling_pool
from a2inet_jax.video.worker import num_cpus


@dataclass(frozen=True)
class VerifyResult:
    """State of a data set's videos, each list in the data set's order, and the data set's fingerprint."""

    present: list[Video]  # those that exist and can be decoded, as far as they were decoded
    missing: list[Video]  # those whose file does not exist
    undecodable: list[tuple[Video, str]]  # those that cannot be decoded, each with the reason
    fingerprint: str


def fingerprint(videos: Sequence[Video]) -> str:
    """Return the SHA-256 of the videos' ids, labels and contents, in any order; files are not read."""
    ordered = sorted(videos, key=lambda video: video.video_id)
    lines = [f"{video.video_id},{video.mos!r},{video.reference_id}\n" for video in ordered]
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def verify(
    videos: Sequence[Video],
    on_progress: Progress,
    full: bool = False,
    processes: int = Features.num_decoders,
    timeout_s: float = Features.timeout_s,
) -> VerifyResult:
    """Check that each video exists, its container is complete and its first frame can be decoded.

    Args:
        videos: The whole data set.
        on_progress: Called before the first video and after each.
        full: Decode every frame.
        processes: Number of decoding processes; 0: one for each core that this process may use.
        timeout_s: Longest time to wait for a first frame or, with `full`, for a chunk of frames, seconds.
    """
    idle: SimpleQueue[Reader] = SimpleQueue()

    def problem(video: Video) -> str:
        reader = idle.get()
        try:
            info = reader.open(video.path, video.raw)
            if full:
                for _ in reader.read(video.path, np.arange(info.num_frames), raw=video.raw):
                    pass
        except VideoError as error:
            return error.reason
        finally:
            idle.put(reader)
        return ""

    missing = missing_videos(videos)
    missing_ids = {video.video_id for video in missing}
    existing = [video for video in videos if video.video_id not in missing_ids]
    reasons: dict[str, str] = {}
    on_progress("", len(missing), len(videos))
    # Decode those that exist, each by a reader that no other thread uses.
    with contextlib.ExitStack() as stack:
        num_readers = max(1, min(processes or num_cpus(), len(videos)))
        readers = [stack.enter_context(Reader(timeout_s)) for _ in range(num_readers)]
        for reader in readers:
            idle.put(reader)
        submit = stack.enter_context(cancelling_pool(num_readers, readers))
        jobs = {submit(problem, video): video.video_id for video in existing}
        for job in as_completed(jobs):
            reasons[jobs[job]] = job.result()
            on_progress(jobs[job], len(missing) + len(reasons), len(videos))
    return VerifyResult(
        [video for video in existing if not reasons[video.video_id]],
        missing,
        [(video, reasons[video.video_id]) for video in existing if reasons[video.video_id]],
        fingerprint(videos),
    )
