"""The files of an evaluated run, read and checked for a report."""

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from a2inet_jax.datasets import registry
from a2inet_jax.datasets import splits as split_files
from a2inet_jax.datasets.splits import Split
from a2inet_jax.datasets.verify import fingerprint
from a2inet_jax.datasets.video import Video
from a2inet_jax.errors import A2INetError, RunError
from a2inet_jax.evaluation import predictions
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.evaluation.protocol import Results
from a2inet_jax.files import sha256

HISTORY_COLUMNS = ("epoch", "train_loss", "val_srcc")
OTHER_LABELS = "the data set has other labels now"
HASHED = ("splits.json", "config.json", "metrics.json", "predictions.csv", "model.safetensors")


@dataclass(frozen=True)
class Run:
    """A run with its results.

    Attributes:
        name: Name in its config.
        results: Content of metrics.json, as config and environment are of their files.
        cross_results: Contents of cross/*/metrics.json, the results on other data sets.
        outdated: A sentence on each of them that is left out, because the model or the labels are others now.
        history: Epochs of the model's ensemble members, with `HISTORY_COLUMNS`; NaN for missing values.
        predictions: Predictions of the model for the test sets.
        hashes: SHA-256 of its files, by name.
        videos: Videos of the data set by id, as it is here; empty if it is not here or has other labels now.
        reason_no_videos: Why there are none; empty if there are.
    """

    path: Path
    name: str
    results: Results
    cross_results: list[Results]
    outdated: list[str]
    config: dict[str, Any]
    environment: dict[str, Any]
    history: list[dict[str, float]]
    predictions: list[Prediction]
    splits: list[Split]
    hashes: dict[str, str]
    videos: dict[str, Video]
    reason_no_videos: str = ""

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
        """Name of the labels, such as "MOS"."""
        return self.results["data"]["label"]


def read(path: Path) -> Run:
    """Read an evaluated run.

    Raises:
        FileNotFoundError: A file is missing from the run's folder; the message names it.
        RunError: A file cannot be read, or an earlier version wrote it.
    """
    results, config, environment = (
        _json(path / f"{name}.json") for name in ("metrics", "config", "environment")
    )
    if "paired" not in results:
        raise RunError(
            f"{path / 'metrics.json'} was written by an earlier version: evaluate the run again"
        )
    hashes = {name: sha256(path / name) for name in HASHED if (path / name).is_file()}
    cross_results, outdated = _cross_results(path, config, hashes.get("model.safetensors", ""))
    history = _history(_existing(path / results["model"] / "history.csv"))
    videos, reason_no_videos = _videos(config["data"], environment["inputs"]["labels"])
    return Run(
        path=path,
        name=config.get("name", path.name),
        results=results,
        cross_results=cross_results,
        outdated=outdated,
        config=config,
        environment=environment,
        history=history,
        predictions=predictions.read(path / "predictions.csv"),
        splits=split_files.read(_existing(path / "splits.json")),
        hashes=hashes,
        videos=videos,
        reason_no_videos=reason_no_videos,
    )


def _cross_results(
    path: Path, config: Mapping[str, Any], model_sha256: str
) -> tuple[list[Results], list[str]]:
    """Return a run's results on other data sets, and a sentence on each outdated one, which is left out."""
    current, outdated = [], []
    for file in sorted(path.glob("cross/*/metrics.json")):
        results = _json(file)
        if reason := _why_outdated(results, config["data"], model_sha256):
            title = results["data"]["name"]
            outdated.append(
                f"Results on {title} are left out: {reason}. `a2inet evaluate {path} "
                f"--datasets={results.get('dataset', title)}` computes them again."
            )
        else:
            current.append(results)
    return current, outdated


def _why_outdated(results: Results, data: Mapping[str, Any], model_sha256: str) -> str:
    """Return why results on another data set no longer hold; empty if they do."""
    inputs = results.get("inputs", {})
    if "labels" not in inputs or "dataset" not in results:
        return "an earlier version wrote them"
    if inputs["model"] != model_sha256:
        return "the run has another model now"
    # Without the data set its labels cannot be compared.
    _, reason = _videos({**data, "name": results["dataset"]}, inputs["labels"])
    return reason if reason == OTHER_LABELS else ""


def _videos(data: Mapping[str, Any], labels: str) -> tuple[dict[str, Video], str]:
    """Return the videos of a data set by id, if their labels have this fingerprint; else why not."""
    try:
        folder = Path(data["folder"]).expanduser()
        videos = registry.load(data["name"], folder, data["allow_missing"])
    except (A2INetError, OSError, ValueError) as error:
        return {}, str(error) or type(error).__name__
    if fingerprint(videos) != labels:
        return {}, OTHER_LABELS
    return {video.video_id: video for video in videos}, ""


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: train and evaluate the run before making its report"
        )
    return path


def _json(path: Path) -> Any:
    try:
        return json.loads(_existing(path).read_text("utf-8"))
    except ValueError as error:
        raise RunError(f"{path} is not JSON ({error}): delete it and run again") from None


def _history(path: Path) -> list[dict[str, float]]:
    with path.open(encoding="utf-8", newline="") as file:
        try:
            return [
                {name: float(row[name] or math.nan) for name in HISTORY_COLUMNS}
                for row in csv.DictReader(file)
            ]
        except (KeyError, ValueError) as error:
            raise RunError(
                f"{path} needs numbers in its columns {', '.join(HISTORY_COLUMNS)} ({error}): "
                "train the run again"
            ) from None
