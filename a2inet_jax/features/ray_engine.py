"""Extraction by the actors of a Ray cluster, which share a disk: `extract.extract_all` on many machines.

Ray Data deals batches of videos out, and deals a batch out again when the worker that had it is lost. The
store's files are the truth: a batch that comes again leaves what is there, and what the workers said is
checked against the files at the end.
"""

import pickle
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.errors import EngineError
from a2inet_jax.features import extract
from a2inet_jax.features.extract import Failure, Progress
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.in_flight import Quarantine
from a2inet_jax.features.ray_session import connect, import_ray, one_line
from a2inet_jax.features.ray_worker import Worker
from a2inet_jax.features.store import Store

# Rounds of a worker's decoding processes in a batch: more of them let a process wait less at the batch's end,
# fewer of them lose less when the worker is lost.
_ROUNDS = 4
# Batches of a worker, where there are enough videos, so that all end at about the same time.
_BATCHES = 4
# A shared disk may take a while to show here what was written on another machine.
_PATIENCE_S = 30.0


@dataclass(frozen=True)
class RayWork:
    """What an extraction on Ray did.

    Attributes:
      failures: videos that failed, in the order of the videos.
      videos: that have features now and had none before.
      frames: of these, but for those that a worker stored before it was lost.
      seconds: from beginning to end, the start of the workers included.
      actors: how many worked at a time.
    """

    failures: list[Failure]
    videos: int
    frames: int
    seconds: float
    actors: int

    def __str__(self) -> str:
        return (
            f"{self.videos} videos, {self.frames} frames in {self.seconds:.1f} s "
            f"({self.frames / max(self.seconds, 1e-9):.1f} frames/s) on {self.actors} actors"
        )


@dataclass(frozen=True)
class Plan:
    """How a cluster is used: so many actors, each with so many CPUs and GPUs."""

    actors: int
    cpus: int
    gpus: int


def extract_all(
    videos: Sequence[VideoFile],
    make: Callable[[], Extractor],
    store: Store,
    on_progress: Progress,
    *,
    address: str | None = None,
    actors: int = 0,
    decoders: int = 0,
    timeout_s: float = 60.0,
) -> RayWork:
    """Extract the features that a store lacks, on a Ray cluster. A video that fails is listed.

    As `extract.extract_all`, whose features it makes, byte for byte. This process computes nothing and
    touches no device. Workers and nodes may be lost at any time: their batches are done by others. A video
    that was under way when two workers were lost is listed, and not tried again.

    Args:
      videos: all videos; their files are reached by the same path on every node.
      make: gives a worker its extractor, on one device, with the store's recipe; it is pickled.
      store: where the features go, on a disk that all nodes share.
      on_progress: called with (video id, videos done, videos in all), at the start and, a batch at a time,
        after each video.
      address: of a cluster's head, or "auto"; a Ray of this machine is started, and stopped, if not given.
      actors: how many work at a time; 0: as many as the cluster has GPUs, or nodes if it has none.
      decoders: decoding processes of an actor; 0: one for each of its CPUs.
      timeout_s: longest time to wait for a chunk of frames.

    Raises:
      ValueError: `decoders` is negative.
      EngineError: Ray is not installed or can't be reached, the store can't be written, the weights are not
        there, or whatever else is not a video's fault.
      OSError: the store's folder can't be written from here.
    """
    if decoders < 0:
        raise ValueError(f"features.decoders is {decoders}: at least one is needed")
    start = time.monotonic()
    store = Store(store.folder.absolute(), store.recipe)  # a worker has another working folder
    todo = extract.missing(videos, store)
    before = len(videos) - len(todo)
    on_progress("", before, len(videos))
    if not todo:
        return RayWork([], 0, 0, time.monotonic() - start, 0)
    rows: dict[str, Mapping[str, Any]] = {}
    ray = import_ray()
    quarantine = Quarantine.create(store.folder)
    try:
        connect(ray, address)
        chosen = plan([node["Resources"] for node in ray.nodes() if node["Alive"]], actors)
        arguments = (make, store.folder, store.recipe, quarantine.folder)
        decoders = decoders or chosen.cpus
        batches = _batches(len(todo), chosen.actors, decoders)
        chosen = replace(chosen, actors=min(chosen.actors, batches))
        for row in _rows(ray, todo, batches, chosen, (*arguments, decoders, timeout_s)):
            if row["error"]:
                _give_up(row)
            rows[row["video_id"]] = row
            on_progress(row["video_id"], before + len(rows), len(videos))
    except ray.exceptions.RayError as error:
        raise EngineError(one_line(error)) from error
    finally:
        # A Ray of our own ends with this; of a cluster, the actors of this job do.
        ray.shutdown()
        quarantine.remove()
    failures = [
        Failure(video.video_id, video.path, reason)
        for video, reason in _without_features(todo, rows, store)
    ]
    return RayWork(
        failures=failures,
        videos=len(todo) - len(failures),
        frames=sum(row["frames"] for row in rows.values()),
        seconds=time.monotonic() - start,
        actors=chosen.actors,
    )


def plan(nodes: Sequence[Mapping[str, float]], actors: int = 0) -> Plan:
    """Deal out the CPUs and GPUs of nodes.

    Args:
      nodes: what each has: "CPU", "GPU".
      actors: how many; 0: one a GPU, or one a node if there are no GPUs.

    Raises:
      EngineError: there are fewer GPUs than actors; without GPUs, fewer CPUs.
    """
    gpus = [int(node.get("GPU", 0)) for node in nodes]
    if sum(gpus):
        if actors > sum(gpus):
            raise EngineError(f"--actors={actors}: the cluster has {sum(gpus)} GPUs, one for each")
        places = gpus
        actors = actors or sum(gpus)
    else:
        cpus = [int(node.get("CPU", 0)) for node in nodes]
        useful = [number > 0 for number in cpus]
        if not any(useful) or actors > sum(cpus):
            raise EngineError(f"--actors={actors}: the cluster has {sum(cpus)} CPUs, no GPU")
        actors = actors or sum(useful)
        a_node = -(-actors // sum(useful))
        places = [a_node * has for has in useful]
    # Of each node one CPU is left to Ray; all are alike, so that an actor fits wherever one was lost.
    shares = [int(node.get("CPU", 0) - 1) // n for node, n in zip(nodes, places) if n]
    return Plan(actors, max(1, min(shares)), int(sum(gpus) > 0))


def _batches(videos: int, actors: int, decoders: int) -> int:
    """How many batches to make of the videos: each has work for all decoders, each actor has several."""
    size = min(_ROUNDS * decoders, max(decoders, -(-videos // (_BATCHES * actors))))
    return -(-videos // min(size, -(-videos // actors)))


def _rows(
    ray: Any, videos: Sequence[VideoFile], batches: int, chosen: Plan, arguments: tuple[Any, ...]
) -> Iterator[Mapping[str, Any]]:
    """What the actors say of the videos, as it comes."""
    items = [{"video": pickle.dumps(_absolute(video))} for video in videos]
    # A block is a task, and so a batch.
    yield from (
        ray.data.from_items(items, override_num_blocks=batches)
        .map_batches(
            Worker,
            batch_size=None,
            fn_constructor_args=arguments,
            compute=ray.data.ActorPoolStrategy(size=chosen.actors, max_tasks_in_flight_per_actor=1),
            num_cpus=chosen.cpus,
            num_gpus=chosen.gpus,
        )
        .iter_rows()
    )


def _absolute(video: VideoFile) -> VideoFile:
    return VideoFile(video.video_id, video.path.absolute(), raw=video.raw)


def _without_features(
    videos: Sequence[VideoFile], rows: Mapping[str, Mapping[str, Any]], store: Store
) -> Iterator[tuple[VideoFile, str]]:
    """Videos that the store still lacks, and why."""
    stored = [name for name, row in rows.items() if not row["reason"]]
    patient_until = time.monotonic() + _PATIENCE_S
    while store.missing(stored) and time.monotonic() < patient_until:
        time.sleep(1)
    lacking = set(store.missing(stored))
    unheard = [video for video in videos if video.video_id not in rows]
    lacking.update(video.video_id for video in extract.missing(unheard, store))
    for video in videos:
        row = rows.get(video.video_id)
        if row and row["reason"]:
            yield video, row["reason"]
        elif video.video_id in lacking:
            yield (
                video,
                f"a worker has stored it, but not where we look: do all nodes share {store.folder}?"
                if row
                else "no worker has said what became of it: run the command again",
            )


def _give_up(row: Mapping[str, Any]) -> NoReturn:
    error = EngineError(row["error"])
    error.add_note(row["trace"])
    raise error
