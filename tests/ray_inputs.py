"""Extractors for the actors of Ray, a process that drives them, and one that holds a cluster.

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
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.features import ray_engine
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.ray_worker import Worker
from a2inet_jax.features.store import Store, VideoFeatures
from a2inet_jax.video.reader import Reader
from a2inet_jax.video.sampling import FR
from tests.clips import Clips
from tests.extraction_inputs import QUALITY, SEMANTIC, extractor

NUMBER = 12
POISON = "poison.mp4"


class Watched(Extractor):
    """Takes its time for a video, and tells in a file who begins which; one video kills its process."""

    def __init__(self, begun: Path, seconds: float) -> None:
        super().__init__(QUALITY, SEMANTIC, FR)
        self._begun = begun
        self._seconds = seconds

    def extract(
        self,
        video: VideoFile,
        reader: Reader,
        device: int = 0,
        known: Mapping[str, np.ndarray] = MappingProxyType({}),
    ) -> VideoFeatures:
        with self._begun.open("a") as file:
            file.write(f"{os.getpid()} {video.video_id}\n")
        if video.video_id == POISON:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self._seconds)
        return super().extract(video, reader, device, known)


def full_disk() -> Extractor:
    """In the process of the actor, so that no other sees it."""

    def write(self: Store, *_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(self.folder))

    setattr(Store, "write", write)  # noqa: B010
    return extractor()


def make_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of `NUMBER` videos that differ, and one that can't be decoded."""
    made = Clips(tmp_path_factory.getbasetemp() / "clips")
    folder = tmp_path_factory.mktemp("videos")
    names = ("h264.mp4", "two_frames.mp4", "black.mp4", "large.mp4")
    for number in range(NUMBER):
        shutil.copy(made[names[number % 4]], folder / f"v{number:02}.mp4")
    shutil.copy(made["text.mp4"], folder / "bad.mp4")
    return folder


def videos(clips: Path) -> list[VideoFile]:
    return [VideoFile(path.name, path) for path in sorted(clips.iterdir())]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def worker(folder: Path, begun: Path, make: Callable[[], Extractor] = extractor) -> Worker:
    return Worker(make, folder, extractor().recipe, begun, 2, 30.0)


def batch(videos: list[VideoFile]) -> dict[str, np.ndarray]:
    return {"video": np.array([pickle.dumps(video) for video in videos], object)}


def factory(name: str) -> Callable[[], Extractor]:
    """`full_disk`, or the path of the file that `Watched` writes."""
    return full_disk if name == "full_disk" else functools.partial(Watched, Path(name), 0.4)


def extract(clips: str, store: str, made: str, address: str = "", actors: str = "0") -> int:
    """As `a2inet extract --engine=ray`: progress, then failures and numbers as JSON; or an error."""
    every = videos(Path(clips))
    try:
        work = ray_engine.extract_all(
            every,
            factory(made),
            Store(Path(store), extractor().recipe),
            lambda name, done, total: print(f"{done}/{total} {name}", flush=True),
            address=address or None,
            actors=int(actors),
            decoders=2,
        )
    except (ValueError, OSError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    failures = [(each.video_id, each.reason) for each in work.failures]
    print(json.dumps([failures, work.videos, work.frames, work.actors]))
    return 0


def cluster(nodes: str) -> int:
    """A head without CPUs, and nodes. Says the address; kills the node of each process that it reads."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    raylets = {}
    for _ in range(int(nodes)):
        node = made.add_node(num_cpus=6)
        raylets[node.all_processes["raylet"][0].process.pid] = node
    print("address", made.address, flush=True)
    for line in sys.stdin:
        raylet = int(_ps("ppid", "-p", line.strip())[0])
        workers = [int(pid) for pid in _ps("pid", "--ppid", str(raylet))]
        made.remove_node(raylets.pop(raylet), allow_graceful=False)
        for worker in workers:
            try:
                os.kill(worker, signal.SIGKILL)
            except ProcessLookupError:
                continue
        print("killed", flush=True)
    made.shutdown()
    return 0


def _ps(what: str, *chosen: str) -> list[str]:
    shown = subprocess.run(["ps", "-o", f"{what}=", *chosen], capture_output=True, text=True)
    return shown.stdout.split()


if __name__ == "__main__":
    sys.exit(cluster(sys.argv[2]) if sys.argv[1] == "cluster" else extract(*sys.argv[2:]))
