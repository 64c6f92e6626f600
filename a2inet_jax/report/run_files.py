"""The files of an evaluated run, read and checked for a report."""

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from a2inet_jax.checksum import sha256
from a2inet_jax.datasets import registry
from a2inet_jax.datasets import splits as split_files
from a2inet_jax.datasets.splits import Split
from a2inet_jax.datasets.verify import fingerprint
from a2inet_jax.errors import A2INetError
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
        left_out: a sentence on each of them that is no longer what the run shows.
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
    left_out: list[str]
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
    def labels(self) -> str:
        """Fingerprint of that data set's labels."""
        return self.environment["inputs"]["labels"]

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
    hashes = {name: sha256(path / name) for name in HASHED if (path / name).is_file()}
    crossed, left_out = _crossed(path, config, hashes.get("model.safetensors", ""))
    return Run(
        path=path,
        name=config.get("name", path.name),
        results=results,
        crossed=crossed,
        left_out=left_out,
        config=config,
        environment=_json(path / "environment.json"),
        history=_history(_existing(path / results["model"] / "metrics.csv")),
        tested=predictions.read(path / "predictions.csv"),
        parts=split_files.read(_existing(path / "splits.json")),
        hashes=hashes,
    )


def _crossed(path: Path, config: Mapping[str, Any], model: str) -> tuple[list[Results], list[str]]:
    """A run's results on other data sets, and a sentence on each that is left out."""
    current, left_out = [], []
    for file in sorted(path.glob("cross/*/metrics.json")):
        results = _json(file)
        if reason := _outdated(results, config["data"], model):
            title = results["data"]["name"]
            dataset = results.get("dataset", title)
            left_out.append(
                f"Results on {title} are left out: {reason}. `a2inet evaluate {path} "
                f"--datasets={dataset}` makes them anew."
            )
        else:
            current.append(results)
    return current, left_out


def _outdated(results: Results, data: Mapping[str, Any], model: str) -> str:
    """Why results on another data set are not of the model and the labels that there are; empty if so."""
    inputs = results.get("inputs", {})
    if "labels" not in inputs or "dataset" not in results:
        return "an earlier version wrote them"
    if inputs["model"] != model:
        return "the run has another model now"
    try:
        folder = Path(data["folder"]).expanduser()
        videos = registry.load(results["dataset"], folder, data["allow_missing"])
    except (A2INetError, OSError, ValueError):
        return ""  # the data set is not here to be asked
    return "" if inputs["labels"] == fingerprint(videos) else "the data set has other labels now"


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
