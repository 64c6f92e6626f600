"""Extraction by the actors of a Ray cluster, which share a disk: `extract.extract_all` on many machines.

Ray Data deals batches of videos out, and deals a batch out again when the worker that had it is lost. The store's
files are the truth: a batch that comes again leaves what is there, and what Ray tells at the end is checked
against the files.
"""

import logging
import os
import pickle
import re
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.features import extract
from a2inet_jax.features.extract import Failure, Progress
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.quarantine import DEATHS, Quarantine
from a2inet_jax.features.recipe import Recipe
from a2inet_jax.features.store import Store

# What Ray would tell, each in its own way; read when Ray is imported or started. What the user has set is left.
_SILENCE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a FutureWarning says that this will be the default
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # of what it says of workers that were lost
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}
# Rounds of a worker's decoding processes in a batch: more of them let a process wait less at the batch's end,
# fewer of them lose less when the worker is lost.
_ROUNDS = 4
# Batches of a worker, at least, where there are enough videos: the last ones of all end at about the same time.
_BATCHES = 4
# A shared disk may take a while to show here what was written on another machine.
_PATIENCE_S = 30.0
_OBJECTS = 256 << 20  # bytes of a Ray of our own; what goes through it is names of videos


class WorkerError(RuntimeError):
    """The work can't go on, for a reason that is no video's fault."""


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

    As `extract.extract_all`, whose features it makes, byte for byte. This process computes nothing and touches
    no device. Workers and nodes may be lost at any time: their batches are done by others. A video that was
    under way when two workers were lost is listed, and not tried again.

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
      WorkerError: Ray is not installed or can't be reached, the store can't be written, the weights are not
        there, or whatever else is no video's fault.
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
    ray = _import_ray()
    quarantine = Quarantine.create(store.folder)
    try:
        _connect(ray, address)
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
        raise WorkerError(_one_line(error)) from error
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
      WorkerError: there are fewer GPUs than actors, or no CPU at all.
    """
    gpus = [int(node.get("GPU", 0)) for node in nodes]
    if sum(gpus):
        if actors > sum(gpus):
            raise WorkerError(f"--actors={actors}: the cluster has {sum(gpus)} GPUs, one for each")
        places = gpus
        actors = actors or sum(gpus)
    else:
        useful = [int(node.get("CPU", 0)) > 0 for node in nodes]
        if not any(useful):
            raise WorkerError("the cluster has no node with a CPU")
        actors = actors or sum(useful)
        a_node = -(-actors // sum(useful))
        places = [a_node * has for has in useful]
    # Of each node one CPU is left to Ray; all are alike, so that an actor fits wherever one was lost.
    shares = [int(node.get("CPU", 0) - 1) // n for node, n in zip(nodes, places) if n]
    return Plan(actors, max(1, min(shares)), int(sum(gpus) > 0))


class Worker:
    """An actor: describes batches of videos, and says of each what became of it.

    Whatever happens is told in a row, because an exception would end the job with pages of Ray's.
    """

    def __init__(
        self,
        make: Callable[[], Extractor],
        folder: Path,
        recipe: Recipe,
        begun: Path,
        decoders: int,
        timeout_s: float,
    ) -> None:
        """Nothing is loaded yet: what goes wrong in that is told as well."""
        self._make = make
        self._folder = folder
        self._recipe = recipe
        self._quarantine = Quarantine(begun)
        self._decoders = decoders
        self._timeout_s = timeout_s
        self._opened: tuple[Extractor, Store] | None = None

    def __call__(self, batch: Mapping[str, np.ndarray]) -> dict[str, list[Any]]:
        """Rows of videos to rows of `video_id`, `frames`, `reason` (of a failure), `error`, `trace`."""
        videos = [pickle.loads(video) for video in batch["video"]]
        try:
            rows = self._described(videos)
        except Exception as error:
            text = str(error) or type(error).__name__
            if not isinstance(error, OSError | ValueError | RuntimeError):
                text = f"{type(error).__name__}: {text}"
            told = f"{text} (worker on {socket.gethostname()})"
            rows = [_row(videos[0].video_id, error=told, trace=traceback.format_exc())]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def _described(self, videos: Sequence[VideoFile]) -> list[dict[str, Any]]:
        if self._opened is None:
            self._opened = self._make(), Store(self._folder, self._recipe)
        lacking = set(self._opened[1].missing(video.video_id for video in videos))
        # What a worker stored before it died was not what it died of.
        deaths = {v.video_id: self._quarantine.deaths(v.video_id) for v in videos}
        fresh = [v for v in videos if not deaths[v.video_id] or v.video_id not in lacking]
        rows = self._extracted(fresh, self._decoders)
        for video in videos:
            if video in fresh:
                continue
            if deaths[video.video_id] < DEATHS:
                rows += self._extracted([video], 1)  # alone: if it kills again, it is known
            else:
                reason = f"took {DEATHS} workers down, or was under way when they were lost"
                rows.append(_row(video.video_id, reason=reason))
        return rows

    def _extracted(self, videos: Sequence[VideoFile], decoders: int) -> list[dict[str, Any]]:
        if not videos:
            return []
        assert self._opened is not None
        extractor, store = self._opened
        names = [video.video_id for video in videos]
        self._quarantine.begin(names)
        try:
            work = extract.extract_all(
                videos, extractor, store, lambda *_: None, decoders, self._timeout_s
            )
        finally:
            self._quarantine.end(names)
        reasons = {failure.video_id: failure.reason for failure in work.failures}
        rows = [_row(name, reason=reasons.get(name, "")) for name in names]
        rows[0]["frames"] = work.frames  # of all of them
        return rows


def _row(
    video_id: str, *, frames: int = 0, reason: str = "", error: str = "", trace: str = ""
) -> dict[str, Any]:
    return {
        "video_id": video_id,
        "frames": frames,
        "reason": reason,
        "error": error,
        "trace": trace,
    }


def _import_ray() -> Any:
    for name, value in _SILENCE.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise WorkerError(
            f"--engine=ray needs Ray ({error}): pip install 'a2inet-jax[ray]' on every node"
        ) from None
    return ray


def _connect(ray: Any, address: str | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": "CRITICAL", "include_dashboard": False}
    try:
        if address and (head := re.fullmatch(r"([^/]+):(\d+)", address)):
            # Ray itself would try for minutes.
            socket.create_connection((head[1].strip("[]"), int(head[2])), timeout=10).close()
        with _without_stderr(), warnings.catch_warnings():
            # JAX warns of each fork in a process of threads. What Ray forks becomes another program at once.
            warnings.filterwarnings("ignore", r"os\.fork\(\)", RuntimeWarning)
            if address:
                del quiet["include_dashboard"]
                ray.init(address, **quiet)
            else:
                ray.init("local", object_store_memory=_OBJECTS, **quiet)
    except (OSError, ray.exceptions.RayError, RuntimeError, ValueError) as error:
        where = f"no Ray cluster answers at {address}" if address else "Ray does not start here"
        raise WorkerError(
            f"{where}: {_one_line(error)}. `ray start --head` starts one, `ray status` looks at it"
        ) from None


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Ray's C++ says to this file descriptor that it will say nothing."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _batches(videos: int, actors: int, decoders: int) -> int:
    """How many batches to make of the videos."""
    most = min(_ROUNDS * decoders, -(-videos // (_BATCHES * actors)))
    return -(-videos // max(1, most))


def _rows(
    ray: Any, videos: Sequence[VideoFile], batches: int, chosen: Plan, arguments: tuple[Any, ...]
) -> Iterator[Mapping[str, Any]]:
    """What the actors say of the videos, as it comes."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.CRITICAL + 1)  # its file keeps everything
    items = [{"video": pickle.dumps(_absolute(video))} for video in videos]
    # A block is a task, and so a batch.
    yield from (
        ray.data.from_items(items, override_num_blocks=batches)
        .map_batches(
            Worker,
            batch_size=None,
            fn_constructor_args=arguments,
            compute=ray.data.ActorPoolStrategy(
                size=chosen.actors, max_tasks_in_flight_per_actor=1
            ),
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
    lacking = set(store.missing(video.video_id for video in videos))
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
    error = WorkerError(row["error"])
    error.add_note(row["trace"])
    raise error


def _one_line(error: Exception) -> str:
    """The last line of Ray's long messages, which is the error that began it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
