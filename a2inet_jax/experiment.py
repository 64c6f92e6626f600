"""An experiment as its config says, step by step: prepare → extract → train → evaluate → report.

The one file of the package that reads configs; the rooms take plain values. A step reuses what is complete,
so a job that was killed goes on where it was when the same command is given again.
"""

import json
import signal
from collections.abc import Sequence
from pathlib import Path

import flax.linen as nn
import jax

from a2inet_jax.backbones import weights
from a2inet_jax.backbones.sources import SOURCES
from a2inet_jax.console import console, progress
from a2inet_jax.datasets import index, splits
from a2inet_jax.evaluating import evaluate
from a2inet_jax.evaluation import predictions
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.extraction import extract
from a2inet_jax.from_config import (
    STREAMS,
    Config,
    backbone,
    build_model,
    labelled_videos,
    networks,
    plain,
    replicas,
    stored_features,
)
from a2inet_jax.model import cost, ensemble
from a2inet_jax.package_files import cache_dir
from a2inet_jax.reporting import report
from a2inet_jax.run_folder import RunFolder
from a2inet_jax.training import loop
from a2inet_jax.training.features import Features
from a2inet_jax.training.loop import Watch
from a2inet_jax.training.prediction import predict
from a2inet_jax.training.replica import Replica
from a2inet_jax.training.settings import Settings
from a2inet_jax.training.termination import TerminatedError

__all__ = ["demo", "describe", "evaluate", "extract", "prepare", "report", "train"]


def demo(config: Config) -> int:
    """Weights and all steps; ends at the first step that fails."""
    for stream in STREAMS:
        name = config["features"][f"{stream}_weights"] or config["features"][stream]
        if name in SOURCES:  # and no file of the user's
            weights.get(name)
    for step in (prepare, extract, train, evaluate, report):
        if code := step(config):
            return code
    return 0


def prepare(config: Config) -> int:
    """Make what is missing of the data set and its index."""
    with progress("prepare") as advance:
        index.prepare(config["data"]["name"], Path(config["data"]["folder"]), advance)
    return 0


def train(config: Config) -> int:
    """Train the model and its neural baselines on every split; keep their parameters and predictions.

    After SIGTERM a checkpoint is written, and the exit code is 143, as shells have it.
    """
    if jax.process_count() > 1 and config["train"]["parallel"] != "mesh":
        raise ValueError("several processes train together by --config.train.parallel=mesh alone")
    jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "compiled"))
    videos = labelled_videos(config)
    features, recipe = stored_features(config, videos)
    parts = splits.make_splits(
        videos,
        number=config["splits"]["number"],
        seed=config["seed"],
        test_fraction=config["splits"]["test"],
        validation_fraction=config["splits"]["validation"],
    )
    # What can't be built is refused before a run begins that could not end.
    models = {name: build_model(name, config["model"]) for name in networks(config)}
    settings, trainings = Settings(**plain(config["train"])), replicas(config, parts)
    run = RunFolder(Path("runs") / config["name"])
    if jax.process_index() == 0:
        run.open(plain(config), {"features": features.digest, "recipe": recipe})
        splits.save(parts, run.path / "splits.json")
    try:
        for name, model in models.items():
            _train_model(name, model, config, settings, features, trainings, run)
    except TerminatedError as stopped:
        console.print(f"{stopped}: the same command goes on from here")
        return 128 + signal.SIGTERM
    return 0


def describe(config: Config, frames: int = 240, as_json: bool = False) -> int:
    """Parameters and FLOPs of the model and of its neural baselines, for one video of so many frames."""
    widths = [backbone(config["features"][stream]).width for stream in config["model"]["streams"]]
    costs = {
        name: cost.measure(build_model(name, config["model"]), widths, frames)
        for name in networks(config)
    }
    if as_json:
        models = {name: each.as_dict() for name, each in costs.items()}
        print(json.dumps({"config": config["name"], "frames": frames, "models": models}))
    else:
        for name, each in costs.items():
            console.print(cost.table(name, each))
    return 0


def _train_model(
    name: str,
    model: nn.Module,
    config: Config,
    settings: Settings,
    features: Features,
    trainings: Sequence[Replica],
    run: RunFolder,
) -> None:
    folder = run.path / name
    if (folder / "predictions.csv").is_file():  # written last
        return
    at_once = config["splits"]["at_once"] or len(trainings)
    rows: list[Prediction] = []
    trained = []
    for first in range(0, len(trainings), at_once):
        group = trainings[first : first + at_once]
        with progress(name) as advance:
            found = loop.train(model, features, group, settings, folder, Watch(advance, _say))
        trained += found
        scores = predict(model, features, group, found, settings)
        for replica, score_n in zip(group, scores, strict=True):
            rows += predictions.tested(replica, features, score_n)
    if jax.process_index():
        return  # the first process writes
    if name == config["model"]["name"]:
        ranges = [each.label_range for each in trained]
        ensemble.save(run.path / "model.safetensors", [each.params for each in trained], ranges)
    predictions.write(folder / "predictions.csv", rows)


def _say(line: str) -> None:
    console.print(line, highlight=False, markup=False)
