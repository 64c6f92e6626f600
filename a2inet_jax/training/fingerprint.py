"""Which training a folder belongs to: it must not go on with anything else."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
from jax.experimental import multihost_utils

from a2inet_jax import atomic
from a2inet_jax.config import Train
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.members import Member

NAME = "settings.json"


def describe(
    model: nn.Module, features: TrainingData, members: Sequence[Member], settings: Train
) -> dict[str, Any]:
    """Everything that decides a training's numbers, as flat JSON values."""
    fields = {
        field.name: getattr(model, field.name)
        for field in dataclasses.fields(model)
        if field.name not in ("parent", "name")
    }
    plain = (bool, int, float, str, type(None))
    return {
        "model": type(model).__name__,
        **{f"model.{k}": v if isinstance(v, plain) else repr(v) for k, v in fields.items()},
        **{f"settings.{k}": v for k, v in dataclasses.asdict(settings).items()},
        "members": [list(member.name) for member in members],
        **{
            f"split {f'{member.group} {member.split_index}'.strip()}.{part}": list(ids)
            for member in members
            for part, ids in dataclasses.asdict(member.split).items()
        },
        "features": features.digest,
    }


def claim(folder: Path, description: dict[str, Any]) -> None:
    """Makes the folder this training's, or makes sure that it is; several processes do so together.

    Raises:
        ValueError: It is another's; the message names the fields that differ.
        FileNotFoundError: It is on a disk that this process does not share with the first.
    """
    path = folder / NAME
    if jax.process_index() == 0 and not path.is_file():
        atomic.write(path, (json.dumps(description, indent=1) + "\n").encode())
    multihost_utils.sync_global_devices(f"{folder} is claimed")
    if not path.is_file():
        raise FileNotFoundError(
            f"{path.resolve()}, which process 0 has written, is not to be seen by process "
            f"{jax.process_index()}: start all processes in one folder on a disk that they share"
        )
    try:
        found = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} cannot be read ({error}): delete {folder}") from error
    if different := [
        f"{name} ({_short(found.get(name))} there, {_short(description.get(name))} now)"
        for name in sorted({*found, *description})
        if found.get(name) != description.get(name)
    ]:
        raise ValueError(
            f"{folder} holds another training, which differs in {'; '.join(different)}: "
            "delete the folder, or give the run another name"
        )


def _short(value: Any) -> str:
    return f"{len(value)} videos" if isinstance(value, list) else repr(value)
