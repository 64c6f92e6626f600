"""The fingerprint of a training run, which keeps its folder from being resumed with anything else."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
from jax.experimental import multihost_utils

from a2inet_jax import files
from a2inet_jax.config import Train
from a2inet_jax.errors import RunError
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.members import Member

NAME = "settings.json"


def compute(
    model: nn.Module, data: TrainingData, members: Sequence[Member], config: Train
) -> dict[str, Any]:
    """Return everything that determines the numbers of a run, as flat JSON values."""
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


def claim(folder: Path, fingerprint: dict[str, Any]) -> None:
    """Write the fingerprint into a new folder, or compare it with the one there.

    With several processes, all of them make this call together.

    Raises:
        RunError: The folder belongs to another run, and the message names the fields that differ; or its
            fingerprint cannot be read.
        FileNotFoundError: The folder is on a disk that this process does not share with process 0.
    """
    path = folder / NAME
    if jax.process_index() == 0 and not path.is_file():
        files.write(path, (json.dumps(fingerprint, indent=1) + "\n").encode())
    multihost_utils.sync_global_devices(f"{folder} is claimed")
    if not path.is_file():
        raise FileNotFoundError(
            f"process {jax.process_index()} does not see {path.resolve()}, which process 0 has written: "
            "start all processes in one folder on a disk that they share"
        )
    try:
        found = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise RunError(f"{path} cannot be read ({error}): delete {folder}") from error
    if different := [
        f"{name} ({_short(found.get(name))} there, {_short(fingerprint.get(name))} now)"
        for name in sorted({*found, *fingerprint})
        if found.get(name) != fingerprint.get(name)
    ]:
        raise RunError(
            f"{folder} holds another run, which differs in {'; '.join(different)}: "
            "delete the folder, or give the run another name"
        )


def _short(value: Any) -> str:
    return f"{len(value)} videos" if isinstance(value, list) else repr(value)
