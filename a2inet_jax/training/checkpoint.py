"""Checkpoints of a training under way: the only file that knows Orbax (its v1 API).

Orbax writes a checkpoint aside and renames it, so a kill leaves none half. Beside that, each carries a
checksum of its arrays: a checkpoint that was damaged later is noticed, and the one before it is used.

Several processes make every call together; the first writes, all read.
"""

import logging
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from orbax.checkpoint import v1 as ocp

_log = logging.getLogger(__name__)


class Checkpoints:
    """The two latest checkpoints in a folder; made by `open_folder`."""

    def __init__(self, checkpointer: Any) -> None:
        self._checkpointer = checkpointer

    def save(self, step: int, tree: Any, record: Any) -> None:
        """Starts to write a checkpoint; ends in the background.

        Args:
            step: Steps done; more than those of the checkpoint before.
            tree: NumPy arrays, which nobody changes.
            record: What else belongs to it, of JSON's types.
        """
        metadata = {"record": record, "checksum": _checksum(tree)}
        self._checkpointer.save_async(step, tree, custom_metadata=metadata)

    def load(self, like: Any) -> tuple[Any, Any] | None:
        """The latest whole checkpoint, or None if there is none.

        Newer ones that cannot be read are named in a warning and renamed to `<step>.damaged`.

        Args:
            like: A tree of arrays with the structure, shapes and dtypes of the tree saved.

        Returns:
            The tree as NumPy arrays, and the record.
        """
        template = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), like)
        for step in sorted((c.step for c in self._checkpointer.checkpoints), reverse=True):
            found, error = None, None
            try:
                found = self._read(step, template)
            except MemoryError:
                raise  # says nothing of the file
            except Exception as e:  # whatever a reader of damaged files may raise
                error = e
            if multihost_utils.process_allgather(np.array(found is not None)).all():
                return found
            self._set_aside(Path(self._checkpointer.directory) / str(step), error)
        return None

    def _read(self, step: int, template: Any) -> tuple[Any, Any]:
        arrays = self._checkpointer.load(step, template)
        metadata = self._checkpointer.metadata(step).custom_metadata
        if _checksum(arrays) != metadata["checksum"]:
            raise ValueError("its checksum differs")
        return arrays, metadata["record"]

    def _set_aside(self, damaged: Path, error: Exception | None) -> None:
        if jax.process_index() == 0:
            aside = damaged.with_name(f"{damaged.name}.damaged")
            _log.warning(
                "%s is damaged (now %s); going on from an earlier one", damaged, aside.name
            )
            _log.debug("reading it raised", exc_info=error)
            shutil.rmtree(aside, ignore_errors=True)
            damaged.rename(aside)
        multihost_utils.sync_global_devices(f"{damaged} is set aside")
        self._checkpointer.reload()


@contextmanager
def open_folder(folder: Path) -> Iterator[Checkpoints]:
    """Opens a folder of checkpoints, makes it if needed; leaving waits until all are written."""
    with ocp.training.Checkpointer(
        folder.resolve(),
        # By default a save would be skipped while another is under way.
        save_decision_policy=ocp.training.save_decision_policies.FixedIntervalPolicy(1),
        preservation_policy=ocp.training.preservation_policies.LatestN(2),
        cleanup_tmp_directories=True,
    ) as checkpointer:
        yield Checkpoints(checkpointer)


def _checksum(tree: Any) -> int:
    value = 0
    for leaf in jax.tree.leaves(tree):
        value = zlib.crc32(np.ascontiguousarray(leaf).data, value)
    return value
