"""Checkpoints of a training under way: the only file that knows Orbax (its v1 API).

Orbax writes a checkpoint aside and renames it, so a kill leaves none half. Beside that, each carries a
checksum of its arrays: a checkpoint that was damaged later is noticed, and the one before it is used.
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
from orbax.checkpoint import v1 as ocp

_log = logging.getLogger(__name__)


class Checkpoints:
    """The two latest checkpoints in a folder; made by `open_folder`."""

    def __init__(self, checkpointer: Any) -> None:
        self._checkpointer = checkpointer

    def save(self, epoch: int, tree: Any, record: Any) -> None:
        """Starts to write a checkpoint; ends in the background.

        Args:
            epoch: Epochs done.
            tree: Arrays. They are copied first and may change at once.
            record: What else belongs to it, of JSON's types.
        """
        arrays = jax.tree.map(np.array, tree)
        metadata = {"record": record, "checksum": _checksum(arrays)}
        self._checkpointer.save_async(epoch, arrays, overwrite=True, custom_metadata=metadata)

    def load(self, like: Any) -> tuple[Any, Any] | None:
        """The latest whole checkpoint, or None if there is none.

        Damaged newer ones are named in a warning and deleted.

        Args:
            like: A tree of arrays with the structure, shapes and dtypes of the tree saved.

        Returns:
            The tree as NumPy arrays, and the record.
        """
        template = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), like)
        for step in sorted((c.step for c in self._checkpointer.checkpoints), reverse=True):
            try:
                arrays = self._checkpointer.load(step, template)
                metadata = self._checkpointer.metadata(step).custom_metadata
                if _checksum(arrays) != metadata["checksum"]:
                    raise ValueError("its checksum differs")
            except Exception as error:  # whatever a reader of damaged files may raise
                damaged = Path(self._checkpointer.directory) / str(step)
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                _log.warning("%s is damaged, the one before it is used: %s", damaged, reason)
                shutil.rmtree(damaged, ignore_errors=True)
                self._checkpointer.reload()
            else:
                return arrays, metadata["record"]
        return None


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
