"""Extractors for Ray actors, a process that drives the actors, and one that runs a cluster.

python -m tests.ray_inputs extract CLIPS STORE FACTORY [ADDRESS [ACTORS]]
python -m tests.ray_inputs cluster NODES
"""

import errno
import functools
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.errors import A2INetError
from a2inet_jax.features import ray
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.ray_worker import InFlightMarkers, Worker
from a2inet_jax.features.record import VideoFeatures
from a2inet_jax.features.store import Store
from tests.clips import Clips
from tests.extraction_inputs import QUALITY, SEMANTIC, extractor

NUM_VIDEOS = 12
POISON = "poison.mp4"


class RecordingExtractor(Extractor):
    """A slow extractor that appends process and video to a file; the video `POISON` kills its process."""

    def __init__(self, log: Path, seconds: float) -> None:
        super().__init__({"quality": QUALITY, "semantic": SEMANTIC})
        self._log = log
        self._seconds = seconds

    def extract(self, video: VideoFile, *args: Any, **kwargs: Any) -> dict[str, VideoFeatures]:
        with self._log.open("a") as file:
            file.write(f"{os.getpid()} {video.video_id}\n")
        if video.video_id == POISON:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self._seconds)
        return super().extract(video, *args, **kwargs)


def full_disk() -> Extractor:
    """Make an extractor whose process finds the disk full."""

    def write(self: Store, *_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(self.folder))

    setattr(Store, "write", write)  # noqa: B010
    return extractor()


def make_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of `NUM_VIDEOS` videos, and one that cannot be decoded."""
    made = Clips(tmp_path_factory.getbasetemp() / "clips")
    folder = tmp_path_factory.mktemp("videos")
    names = ("h264.mp4", "two_frames.mp4", "black.mp4", "large.mp4")
    for number in range(NUM_VIDEOS):
        shutil.copy(made[names[number % 4]], folder / f"v{number:02}.mp4")
    shutil.copy(made["text.mp4"], folder / "bad.mp4")
    return folder


def videos(clips: Path) -> list[VideoFile]:
    return [VideoFile(path.name, path) for path in sorted(clips.iterdir())]


def content(folder: Path) -> dict[str, bytes]:
    """Return the files in a folder and its stores by their paths in it."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def worker(folder: Path, markers_folder: Path, make: Callable[[], Extractor] = extractor) -> Worker:
    return Worker(make, folder, extractor().recipes, InFlightMarkers(markers_folder), 2, 30.0)


def batch(videos: list[VideoFile]) -> dict[str, np.ndarray]:
    return {"video": np.array([pickle.dumps(video) for video in videos], object)}


def factory(name: str) -> Callable[[], Extractor]:
    """Return `full_disk`, or else a factory of `RecordingExtractor` that writes the file of this name."""
    if name == "full_disk":
        return full_disk
    return functools.partial(RecordingExtractor, Path(name), 0.4)


def extract(clips: str, store: str, make: str, address: str = "", actors: str = "0") -> int:
    """Extract like `a2inet extract --engine=ray`; print progress, then the results as JSON, or an error."""
    all_videos = videos(Path(clips))
    try:
        work = ray.extract_all(
            all_videos,
            factory(make),
            Path(store),
            extractor().recipes,
            lambda name, done, total: print(f"{done}/{total} {name}", flush=True),
            address=address or None,
            actors=int(actors),
            decoders=2,
        )
    except (A2INetError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    failures = [(each.video_id, each.reason) for each in work.failures]
    print(json.dumps([failures, work.videos, work.frames, work.actors]))
    return 0


def cluster(nodes: str) -> int:
    """Run a head without CPUs, and nodes; print the address, and kill the node of each process id read."""
    from ray.cluster_utils import Cluster

    ray_cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    raylets = {}
    for _ in range(int(nodes)):
        node = ray_cluster.add_node(num_cpus=6)
        raylets[node.all_processes["raylet"][0].process.pid] = node
    print("address", ray_cluster.address, flush=True)
    for line in sys.stdin:
        raylet = int(_ps("ppid", "-p", line.strip())[0])
        workers = [int(pid) for pid in _ps("pid", "--ppid", str(raylet))]
        ray_cluster.remove_node(raylets.pop(raylet), allow_graceful=False)
        for worker in workers:
            try:
                os.kill(worker, signal.SIGKILL)
            except ProcessLookupError:
                continue
        print("killed", flush=True)
    ray_cluster.shutdown()
    return 0


def _ps(column: str, *selection: str) -> list[str]:
    shown = subprocess.run(["ps", "-o", f"{column}=", *selection], capture_output=True, text=True)
    return shown.stdout.split()


if __name__ == "__main__":
    sys.exit(cluster(sys.argv[2]) if sys.argv[1] == "cluster" else extract(*sys.argv[2:]))
