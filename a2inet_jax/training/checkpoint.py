"""Checkpoints of an unfinished run, resumed by nothing else; the only module that knows Orbax (its v1 API).

Orbax writes a checkpoint under a temporary name and renames it, so a killed process leaves none half-written.
Each checkpoint also carries a checksum of its arrays: one that is damaged later is noticed, and the one
before it is used.

With several processes, all of them make every call together: the first one writes, all read.
"""

import dataclasses
import logging
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.experimental import multihost_utils
from orbax.checkpoint import v1 as ocp

from a2inet_jax import run
from a2inet_jax.config import Train
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.members import Member

_FINGERPRINT = "settings.json"
_log = logging.getLogger(__name__)


def fingerprint(
    model: nn.Module, data: TrainingData, members: Sequence[Member], config: Train
) -> dict[str, Any]:
    """Return everything that determines the numbers of a training run, as flat JSON values."""
    fields = {
        field.name: getattr(model, field.name)
        for field in dataclasses.fields(model)
        if field.name not in ("parent", "name")
    }
    plain = (bool, int, float, str, type(None))
    return {
        "model": type(model).__name__,
        **{f"model.{k}": v if isinstance(v, plain) else repr(v) for k, v in fields.items()},
        **{f"settings.{k}": v for k, v in dataclasses.asdict(config).items()},
        "members": [list(member.key) for member in members],
        **{
            f"split {f'{member.group} {member.split_index}'.strip()}.{subset}": list(ids)
            for member in members
            for subset, ids in dataclasses.asdict(member.split).items()
        },
        "features": data.digest,
    }


class Checkpoints:
    """The two latest checkpoints of a folder; made by `open_folder`."""

    def __init__(self, checkpointer: Any) -> None:
        self._checkpointer = checkpointer

    def save(self, step: int, tree: Any, record: Any) -> None:
        """Write a checkpoint in the background.

        Args:
            step: Steps done, more than at the checkpoint before.
            tree: NumPy arrays, which must not change from now on.
            record: JSON values that belong to it.
        """
        metadata = {"record": record, "checksum": _checksum(tree)}
        self._checkpointer.save_async(step, tree, custom_metadata=metadata)

    def load(self, like: Any) -> tuple[Any, Any] | None:
        """Read the latest intact checkpoint; None if there is none.

        Damaged ones that are newer are reported in a warning and renamed to `<step>.damaged`.

        Args:
            like: A tree of arrays with the structure, shapes and dtypes of the saved tree.

        Returns:
            The tree as NumPy arrays, and the record.
        """
        template = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), like)
        for step in sorted((c.step for c in self._checkpointer.checkpoints), reverse=True):
            restored, error = None, None
            try:
                restored = self._read(step, template)
            except MemoryError:
                # The file may well be intact.
                raise
            except Exception as e:  # reading a damaged file may raise anything
                error = e
            if multihost_utils.process_allgather(np.array(restored is not None)).all():
                return restored
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
                "%s is damaged (now %s); resuming from an earlier checkpoint", damaged, aside.name
            )
            _log.debug("reading it raised", exc_info=error)
            shutil.rmtree(aside, ignore_errors=True)
            damaged.rename(aside)
        multihost_utils.sync_global_devices(f"{damaged} is set aside")
        self._checkpointer.reload()


@contextmanager
def open_folder(folder: Path, identity: Mapping[str, Any]) -> Iterator[Checkpoints]:
    """Open a run's folder of checkpoints, made if needed; on exit, wait until all of them are written.

    Args:
        folder: Folder of the checkpoints.
        identity: The run's `fingerprint`, which is written into a new folder.

    Raises:
        RunError: The folder belongs to another run, and the message names the fields that differ; or its
            fingerprint cannot be read.
        FileNotFoundError: The folder is on a disk that this process does not share with process 0.
    """
    path = folder / _FINGERPRINT
    if jax.process_index() == 0 and not path.is_file():
        run.write_json(path, identity)
    multihost_utils.sync_global_devices(f"{folder} is claimed")
    if not path.is_file():
        raise FileNotFoundError(
            f"process {jax.process_index()} does not see {path.resolve()}, which process 0 has written: "
            "start all processes in one folder on a disk that they share"
        )
    run.check_identity(folder, identity, run.read_json(path))

    with ocp.training.Checkpointer(
        folder.resolve(),
        # The default policy skips a save while another one is running.
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
