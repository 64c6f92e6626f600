"""The files of an evaluated run, read and checked for a report."""

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from a2inet_jax.checksum import sha256
from a2inet_jax.datasets import splits as split_files
from a2inet_jax.datasets.splits import Split
from a2inet_jax.evaluation import predictions
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.evaluation.protocol import Results

CURVES = ("epoch", "train_loss", "val_srcc")
HASHED = ("splits.json", "config.json", "metrics.json", "predictions.csv", "model.safetensors")


@dataclass(frozen=True)
class Run:
    """A run with its results.

    Attributes:
        path: its folder.
        name: its name, as its config says.
        results: of metrics.json.
        crossed: of cross/*/metrics.json, the results on other data sets.
        config: of config.json.
        environment: of environment.json.
        history: epochs of the model's trainings, with the columns `CURVES`; NaN where a value is missing.
        tested: predictions of the model on the test parts.
        parts: the splits.
        hashes: SHA-256 of its files, by name.
    """

    path: Path
    name: str
    results: Results
    crossed: list[Results]
    config: dict[str, Any]
    environment: dict[str, Any]
    history: list[dict[str, float]]
    tested: list[Prediction]
    parts: list[Split]
    hashes: dict[str, str]

    @property
    def dataset(self) -> str:
        """Title of the data set that it was trained on."""
        return self.results["data"]["name"]

    @property
    def label(self) -> str:
        """What its labels are called."""
        return self.results["data"]["label"]


def read(path: Path) -> Run:
    """Reads an evaluated run.

    Raises:
        FileNotFoundError: a file is missing from the run's folder; the message names it.
        ValueError: a file cannot be read, or an earlier version wrote it.
    """
    results, config = _json(path / "metrics.json"), _json(path / "config.json")
    if "paired" not in results:
        raise ValueError(
            f"{path / 'metrics.json'} is of an earlier version: evaluate the run again"
        )
    return Run(
        path=path,
        name=config.get("name", path.name),
        results=results,
        crossed=[_json(file) for file in sorted(path.glob("cross/*/metrics.json"))],
        config=config,
        environment=_json(path / "environment.json"),
        history=_history(_existing(path / results["model"] / "metrics.csv")),
        tested=predictions.read(path / "predictions.csv"),
        parts=split_files.read(_existing(path / "splits.json")),
        hashes={name: sha256(path / name) for name in HASHED if (path / name).is_file()},
    )


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: train and evaluate the run, then report it")
    return path


def _json(path: Path) -> Any:
    try:
        return json.loads(_existing(path).read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}): delete it and run again") from None


def _history(path: Path) -> list[dict[str, float]]:
    with path.open(encoding="utf-8", newline="") as file:
        try:
            return [
                {name: float(row[name] or math.nan) for name in CURVES}
                for row in csv.DictReader(file)
            ]
        except (KeyError, ValueError) as error:
            raise ValueError(f"{path} needs numbers in its columns {CURVES}: {error}") from None
