"""Which training a folder belongs to: it must not go on with anything else."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import flax.linen as nn

from a2inet_jax.datasets.splits import Split
from a2inet_jax.training.batches import Features
from a2inet_jax.training.settings import Settings

NAME = "settings.json"


def describe(
    model: nn.Module, features: Features, split: Split, settings: Settings
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
        **{f"split.{k}": list(v) for k, v in dataclasses.asdict(split).items()},
        "features": features.digest,
    }


def claim(folder: Path, description: dict[str, Any]) -> None:
    """Makes the folder this training's, or makes sure that it is.

    Raises:
        ValueError: It is another's; the message names the fields that differ.
    """
    path = folder / NAME
    if path.is_file():
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
        return
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{NAME}.partial"
    temporary.write_text(json.dumps(description, indent=1) + "\n")
    os.replace(temporary, path)


def _short(value: Any) -> str:
    return f"{len(value)} videos" if isinstance(value, list) else repr(value)
