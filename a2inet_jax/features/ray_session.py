"""Ray itself: found, told to be silent, and reached."""

import logging
import os
import re
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from a2inet_jax.errors import EngineError

# What Ray would tell; read when Ray is imported or started. What the user has set is left.
_SILENCE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a FutureWarning says that this will be the default
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # of what it says of workers that were lost
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}
_OBJECTS = 256 << 20  # bytes of a Ray of our own; what goes through it is names of videos


def import_ray() -> Any:
    """Ray, with Ray Data, silent.

    Raises:
      EngineError: it is not installed.
    """
    for name, value in _SILENCE.items():
        os.environ.setdefault(name, value)
    try:
        with warnings.catch_warnings():
            # Of its own settings, that nobody has touched.
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
            handler.setLevel(logging.CRITICAL + 1)  # its file keeps everything
    return ray


def connect(ray: Any, address: str | None) -> None:
    """Join a cluster, or start a Ray of this machine's; `ray.shutdown()` leaves the one and stops the other.

    Args:
      ray: what `import_ray` gave.
      address: HOST:PORT of a cluster's head, or "auto"; None: a Ray of our own.

    Raises:
      EngineError: there is none, or it does not start.
    """
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
        raise EngineError(
            f"{where}: {one_line(error)}. `ray start --head` starts one, `ray status` looks at it"
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


def one_line(error: Exception) -> str:
    """The last line of Ray's long messages, which is the error that began it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
