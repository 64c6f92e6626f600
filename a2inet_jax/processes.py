"""Several processes that train one model together, on one machine or many; all must share a disk."""

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import jax

from a2inet_jax.console import console, say
from a2inet_jax.errors import ConfigError


@contextmanager
def joined_processes(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> Iterator[None]:
    """Make this process one of several; must be entered before JAX is used.

    Only process 0 prints to the console. A process that fails exits at once, and takes the others with it:
    they would wait for it forever.

    Args:
        coordinator: `host:port` of process 0. Without it and the next two, all three are read from the
            environment of SLURM or Open MPI.
        processes: Number of processes.
        process: Index of this process, from 0.

    Raises:
        ConfigError: The environment has none of the three, or they do not fit together.
    """
    # JAX's own handling of SIGTERM counts calls, and Orbax adds calls of its own; see `training.runtime`.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            process,
            # Processes started by hand keep all devices of their machine.
            cluster_detection_method="deactivate" if coordinator else None,
        )
    except ValueError as error:
        if coordinator:
            raise ConfigError(f"--coordinator, --processes and --process: {error}") from error
        raise ConfigError(
            "the environment is neither SLURM's nor Open MPI's: start with srun or mpirun, or give "
            "--coordinator, --processes and --process"
        ) from error
    try:
        console.quiet = jax.process_index() > 0
        say(f"{jax.process_count()} processes with {jax.device_count()} devices")
        yield
    except BaseException:
        # JAX's own exit handler would wait for the other processes, which wait for this one.
        atexit.register(_exit_at_once)
        raise


def _exit_at_once() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
