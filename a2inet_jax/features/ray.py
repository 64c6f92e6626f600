"""Extraction on a Ray cluster whose nodes share a disk: `extract.extract_all` on many machines.

Ray Data hands out batches of videos, and hands a batch out again when its worker is lost. The files of the
stores are the truth: a repeated batch leaves stored features as they are, and the workers' reports are
checked against the files at the end.
"""

import pickle
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from a2inet_jax.config import Features
from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.errors import ConfigError, EngineError
from a2inet_jax.features import extract
from a2inet_jax.features.extract import Extraction, Failure, Progress
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.ray_cluster import Allocation, allocate, connect, import_ray, one_line
from a2inet_jax.features.ray_worker import InFlightMarkers, Worker
from a2inet_jax.features.recipe import Recipe
from a2inet_jax.features.store import Store, open_stores

# Videos of a batch for each decoding process, at most. More of them shorten the time that processes idle at
# the end of a batch; fewer of them lose less with a worker.
_VIDEOS_PER_DECODER = 4
# Batches for each actor, if there are enough videos, so that all actors end at about the same time.
_BATCHES_PER_ACTOR = 4
# A shared disk may take a while to show files that another machine has written.
_VISIBLE_AFTER_S = 30.0


@dataclass(frozen=True)
class RayExtraction(Extraction):
    """An extraction by a number of actors, whose start is part of its duration.

    Frames of videos that a worker stored before it was lost are not counted.
    """

    actors: int

    def _more(self) -> str:
        return f" on {self.actors} actor{'s' * (self.actors != 1)}"


def extract_all(
    videos: Sequence[VideoFile],
    make: Callable[[], Extractor],
    folder: Path,
    recipes: Mapping[str, Recipe],
    on_progress: Progress,
    *,
    address: str | None = None,
    actors: int = 0,
    decoders: int = Features.num_decoders,
    timeout_s: float = Features.timeout_s,
) -> RayExtraction:
    """Extract the features that stores lack on a Ray cluster; videos that fail are listed.

    The features are those of `extract.extract_all`, byte for byte. This process computes nothing and uses no
    device. Workers and nodes may be lost at any time: others repeat their batches. A video that was in flight
    when two workers were lost is listed, and not tried again.

    Args:
        videos: All videos of the data set, whose paths hold on every node.
        make: Makes a worker's extractor, with one device and these recipes. It is pickled.
        folder: Folder of the stores, on a disk that all nodes share.
        recipes: Stream → recipe of its store.
        on_progress: As for `extract.extract_all`, but a batch at a time.
        address: HOST:PORT of a cluster's head, or "auto"; None: start a local Ray, and stop it at the
            end.
        actors: Number of actors; 0: one for each GPU of the cluster, or for each node if there are no
            GPUs.
        decoders: Decoding processes of an actor; 0: one for each of its CPUs.
        timeout_s: Longest time to wait for a chunk of frames.

    Raises:
        ConfigError: `decoders` is negative.
        EngineError: Ray is not installed or cannot be reached, or a worker reports an error that is no
            fault of a video, such as missing weights or a store that cannot be written.
        OSError: The stores' folder cannot be written from here.
    """
    if decoders < 0:
        raise ConfigError(f"features.num_decoders is {decoders}: 0 or more is needed")
    start_s = time.monotonic()
    # Absolute, because the workers have another working folder.
    folder = folder.absolute()
    stores = open_stores(folder, recipes)
    todo = list(extract.missing(videos, stores))
    done_before = len(videos) - len(todo)
    on_progress("", done_before, len(videos))
    if not todo:
        return RayExtraction([], 0, 0, time.monotonic() - start_s, 0)

    # Hand the videos out to the actors, and collect their reports.
    rows: dict[str, Mapping[str, Any]] = {}
    ray = import_ray()
    markers = InFlightMarkers.create(folder)
    try:
        connect(ray, address)
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        allocation = allocate(nodes, actors)
        decoders = decoders or allocation.cpus
        num_batches = _num_batches(len(todo), allocation.actors, decoders)
        allocation = replace(allocation, actors=min(allocation.actors, num_batches))
        arguments = (make, folder, recipes, markers, decoders, timeout_s)
        for row in _rows(ray, todo, num_batches, allocation, arguments):
            if row["error"]:
                failed = EngineError(row["error"])
                failed.add_note(row["trace"])
                raise failed
            rows[row["video_id"]] = row
            on_progress(row["video_id"], done_before + len(rows), len(videos))
    except ray.exceptions.RayError as error:
        raise EngineError(one_line(error)) from error
    finally:
        # This stops a local Ray; of a cluster it stops this job's actors.
        ray.shutdown()
        markers.remove()

    # Check the reports against the files.
    failures = [
        Failure(video.video_id, video.path, reason)
        for video, reason in _without_features(todo, rows, stores)
    ]
    return RayExtraction(
        failures=failures,
        videos=len(todo) - len(failures),
        frames=sum(row["frames"] for row in rows.values()),
        seconds=time.monotonic() - start_s,
        actors=allocation.actors,
    )


def _num_batches(videos: int, actors: int, decoders: int) -> int:
    """Return a number of batches with work for all decoders in each, and several batches for each actor."""
    size = min(
        _VIDEOS_PER_DECODER * decoders, max(decoders, -(-videos // (_BATCHES_PER_ACTOR * actors)))
    )
    return -(-videos // min(size, -(-videos // actors)))


def _rows(
    ray: Any,
    videos: Sequence[VideoFile],
    num_batches: int,
    allocation: Allocation,
    arguments: tuple[Any, ...],
) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of `Worker` as they arrive."""
    # Without labels, and with paths that hold in the workers' folders.
    absolute = [VideoFile(each.video_id, each.path.absolute(), raw=each.raw) for each in videos]
    items = [{"video": pickle.dumps(each)} for each in absolute]
    # Ray makes one task of each block, and with batch_size=None one batch of each task.
    yield from (
        ray.data.from_items(items, override_num_blocks=num_batches)
        .map_batches(
            Worker,
            batch_size=None,
            fn_constructor_args=arguments,
            compute=ray.data.ActorPoolStrategy(
                size=allocation.actors, max_tasks_in_flight_per_actor=1
            ),
            num_cpus=allocation.cpus,
            num_gpus=allocation.gpus,
        )
        .iter_rows()
    )


def _without_features(
    videos: Sequence[VideoFile], rows: Mapping[str, Mapping[str, Any]], stores: Mapping[str, Store]
) -> Iterator[tuple[VideoFile, str]]:
    """Yield the videos that still have no features, with the reason."""
    reported = [video_id for video_id, row in rows.items() if not row["reason"]]
    deadline_s = time.monotonic() + _VISIBLE_AFTER_S
    while True:
        unseen = {video_id for store in stores.values() for video_id in store.missing(reported)}
        if not unseen or time.monotonic() >= deadline_s:
            break
        time.sleep(1)
    # A worker that was lost may have stored videos that it did not report.
    unreported = [video for video in videos if video.video_id not in rows]
    lacking = unseen | {video.video_id for video in extract.missing(unreported, stores)}
    for video in videos:
        row = rows.get(video.video_id)
        if row and row["reason"]:
            yield video, row["reason"]
        elif row and video.video_id in lacking:
            yield (
                video,
                "a worker has stored its features, but this machine does not see them: do all nodes "
                f"share {next(iter(stores.values())).folder.parent}?",
            )
        elif video.video_id in lacking:
            yield video, "no worker has reported a result: run the command again"
