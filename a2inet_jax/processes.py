"""Several processes that train one model together, on one machine or many; all need the same disk."""

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import jax

from a2inet_jax.console import console, say


@contextmanager
def joined(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> Iterator[None]:
    """Makes this process one of several; to be called before JAX is used.

    Only the first process speaks to the console. A process that leaves by an error ends at once, and
    takes the others along: they would wait for it.

    Args:
        coordinator: `host:port` of process 0. Without it and the next two, SLURM's or Open MPI's
            environment says all three.
        processes: How many there are.
        process: Which one this is, from 0.

    Raises:
        ValueError: There is nothing in the environment, or `process` is not below `processes`.
    """
    # Its watch for SIGTERM counts calls, and Orbax adds calls of its own; see `training.termination`.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            process,
            # Those who say who they are keep all of their machine's devices.
            cluster_detection_method="deactivate" if coordinator else None,
        )
    except ValueError as error:
        if coordinator:
            raise
        raise ValueError(
            "the environment is neither SLURM's nor Open MPI's: start with srun or mpirun, or give "
            "--coordinator, --processes and --process"
        ) from error
    try:
        console.quiet = jax.process_index() > 0
        say(f"{jax.process_count()} processes with {jax.device_count()} devices")
        yield
    except BaseException:
        # JAX's own way out would wait for the others, who wait for this process.
        atexit.register(_leave)
        raise


def _leave() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
