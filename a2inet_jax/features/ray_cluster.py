"""A Ray cluster: import of Ray without its output, connection, and the resources of each actor."""

import logging
import os
import re
import socket
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from a2inet_jax.errors import EngineError

# Variables that silence Ray, which it reads when it is imported or started. Those set by the user are left.
_SILENCE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # The future default, says a FutureWarning.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_SCHEDULER_EVENTS": "0",
    # Reports of lost workers.
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}
# Bytes of a local Ray's object store; only names of videos go through it.
_OBJECT_STORE_BYTES = 256 << 20


@dataclass(frozen=True)
class Allocation:
    """Resources of a job: a number of actors, and the CPUs and GPUs of each."""

    actors: int
    cpus: int
    gpus: int


def import_ray() -> Any:
    """Import Ray with Ray Data, and silence it.

    Raises:
        EngineError: Ray is not installed.
    """
    for name, value in _SILENCE.items():
        os.environ.setdefault(name, value)
    try:
        with warnings.catch_warnings():
            # Ray warns of its own settings, which nobody has changed.
            warnings.simplefilter("ignore", DeprecationWarning)
            import ray
            import ray.data

            context = ray.data.DataContext.get_current()
    except ImportError as error:
        raise EngineError(
            f"--engine=ray needs Ray ({error}): pip install 'a2inet-jax[ray]' on every node"
        ) from None
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            # The log file still has everything.
            handler.setLevel(logging.CRITICAL + 1)
    return ray


def connect(ray: Any, address: str | None) -> None:
    """Join a cluster, or start a local Ray; `ray.shutdown()` leaves the one and stops the other.

    Args:
        ray: Result of `import_ray`.
        address: HOST:PORT of a cluster's head, or "auto"; None: start a local Ray.

    Raises:
        EngineError: No cluster answers, or the local Ray does not start.
    """
    options = {"log_to_driver": False, "logging_level": "CRITICAL", "include_dashboard": False}
    try:
        if address and (head := re.fullmatch(r"([^/]+):(\d+)", address)):
            # Ray itself would try for minutes before it gives up.
            socket.create_connection((head[1].strip("[]"), int(head[2])), timeout=10).close()
        with _without_stderr(), warnings.catch_warnings():
            # JAX warns of forks in a process with threads. Ray's forks become another program at once.
            warnings.filterwarnings("ignore", r"os\.fork\(\)", RuntimeWarning)
            if address:
                del options["include_dashboard"]
                ray.init(address, **options)
            else:
                ray.init("local", object_store_memory=_OBJECT_STORE_BYTES, **options)
    except (OSError, ray.exceptions.RayError, RuntimeError, ValueError) as error:
        where = f"no Ray cluster answers at {address}" if address else "Ray does not start here"
        raise EngineError(
            f"{where}: {one_line(error)}. `ray start --head` starts one, `ray status` shows its state"
        ) from None


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Silence Ray's C++ code, which writes to the file descriptor that it will write nothing."""
    sys.stderr.flush()
    stderr = os.dup(2)
    devnull = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(devnull, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(devnull)


def one_line(error: Exception) -> str:
    """Return the last line of Ray's long messages, which names the original error."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def allocate(nodes: Sequence[Mapping[str, float]], actors: int = 0) -> Allocation:
    """Allocate the CPUs and GPUs of a cluster to actors, the same to each.

    Args:
        nodes: Resources of each node: "CPU", "GPU".
        actors: Number of actors; 0: one for each GPU, or for each node if there are no GPUs.

    Raises:
        EngineError: There are fewer GPUs than actors; without GPUs, fewer CPUs.
    """
    cpus, gpus = ([int(node.get(kind, 0)) for node in nodes] for kind in ("CPU", "GPU"))
    if sum(gpus):
        if actors > sum(gpus):
            raise EngineError(f"--actors={actors}: the cluster has {sum(gpus)} GPUs, one for each")
        actors_of_node = gpus
        actors = actors or sum(gpus)
    else:
        usable = [number > 0 for number in cpus]
        if not any(usable) or actors > sum(cpus):
            raise EngineError(f"--actors={actors}: the cluster has {sum(cpus)} CPUs, no GPU")
        actors = actors or sum(usable)
        actors_per_node = -(-actors // sum(usable))
        actors_of_node = [actors_per_node * has_cpus for has_cpus in usable]
    # Ray keeps one CPU of each node. All actors get the same, so that a lost one fits in anywhere.
    cpus_of_actor = [(n - 1) // number for n, number in zip(cpus, actors_of_node) if number]
    return Allocation(actors, max(1, min(cpus_of_actor)), int(sum(gpus) > 0))
