"""`a2inet train`: the networks of a run, on every split; and several runs as one program."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import flax.linen as nn
import jax
import numpy as np

from a2inet_jax.build import (
    Config,
    build_model,
    draw_splits,
    labelled_videos,
    listed_videos,
    members,
    networks,
    open_extractor,
    plain,
    stored_features,
)
from a2inet_jax.cache import cache_dir
from a2inet_jax.config import Train
from a2inet_jax.console import progress, say
from a2inet_jax.datasets import splits
from a2inet_jax.datasets.verify import fingerprint
from a2inet_jax.evaluation import predictions
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.model import ensemble
from a2inet_jax.run import RunFolder
from a2inet_jax.training import loop
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.joint import RunInputs, train_together
from a2inet_jax.training.loop import Callbacks
from a2inet_jax.training.members import Member, TrainedMember
from a2inet_jax.training.predict import predict
from a2inet_jax.training.termination import TerminatedError


@dataclass(frozen=True)
class PreparedRun:
    """A run whose folder says what it is, ready to be trained.

    Attributes:
      config: of the run.
      folder: of the run.
      models: its networks by name; the run's own is the first.
      settings: of the training.
      features: of all videos.
      trainings: a member for each split and seed.
    """

    config: Config
    folder: RunFolder
    models: dict[str, nn.Module]
    settings: Train
    features: TrainingData
    trainings: tuple[Member, ...]

    @property
    def todo(self) -> list[str]:
        """Names of the networks that are not trained yet."""
        paths = {name: self.folder.path / name / "predictions.csv" for name in self.models}
        return [name for name, path in paths.items() if not path.is_file()]


def train(config: Config) -> int:
    """Train the model and its neural baselines on every split; keep their parameters and predictions.

    After SIGTERM a checkpoint is written, and the exit code is 143, as shells have it.
    """
    run = prepare_run(config)
    try:
        for name in run.todo:
            _train_alone(run, name)
    except TerminatedError as stopped:
        return say_stopped(stopped)
    return 0


def prepare_run(config: Config) -> PreparedRun:
    """Draw a run's splits, and write down what it is; what can't be trained is refused before that.

    Raises:
      FileNotFoundError: data set or features are not here.
      RunError: the folder holds another run.
      ValueError: a field of the config can't be used.
    """
    if jax.process_count() > 1 and config["train"]["parallel"] != "mesh":
        raise ValueError("several processes train together by --config.train.parallel=mesh alone")
    jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "compiled"))
    videos = labelled_videos(config)
    parts = draw_splits(config, videos, listed_videos(config))
    extractor = open_extractor(config["features"])
    features = stored_features(config, videos, extractor)
    models = {name: build_model(name, config["model"]) for name in networks(config)}
    settings, trainings = Train(**plain(config["train"])), members(config, parts)
    run = RunFolder(Path("runs") / config["name"])
    if jax.process_index() == 0:
        inputs = {
            "features": features.digest,
            "recipe": extractor.recipe.as_dict(),
            "labels": fingerprint(videos),
            "splits": splits.digest(parts),
        }
        run.open(plain(config), inputs)
        if not (run.path / "splits.json").is_file():
            splits.save(parts, run.path / "splits.json")
    return PreparedRun(config, run, models, settings, features, tuple(trainings))


def say_stopped(stopped: TerminatedError) -> int:
    """Tell that a training was asked to stop; gives the exit code."""
    say(f"{stopped}: the same command goes on from here")
    return 128 + signal.SIGTERM


def train_as_one(runs: Sequence[PreparedRun]) -> None:
    """Train several runs' own models, which are equal and take features of equal widths, side by side.

    Raises:
      DivergedError: a loss or a parameter is not finite.
      TerminatedError: SIGTERM came, and a checkpoint was written.
    """
    first = runs[0]
    name = next(iter(first.models))
    if len(runs) == 1:
        _train_alone(first, name)
        return
    # Where all of them lie, so that each finds its history in its own folder.
    shared = Path("runs")
    groups = {
        str((run.folder.path / name).relative_to(shared)): RunInputs(run.features, run.trainings)
        for run in runs
    }
    with progress(f"{len(runs)} runs") as advance:
        watch = Callbacks(advance, say)
        outcomes = train_together(first.models[name], groups, first.settings, shared, watch)
    for run, outcome in zip(runs, outcomes.values(), strict=True):
        _keep(run, name, outcome.trained, outcome.scores)


def _train_alone(run: PreparedRun, name: str) -> None:
    at_once = run.config["splits"]["at_once"] or len(run.trainings)
    trained: list[TrainedMember] = []
    scores: list[np.ndarray] = []
    for start in range(0, len(run.trainings), at_once):
        group = run.trainings[start : start + at_once]
        with progress(name) as advance:
            watch = Callbacks(advance, say)
            found = loop.train(
                run.models[name], run.features, group, run.settings, run.folder.path / name, watch
            )
        trained += found
        scores += predict(run.models[name], run.features, group, found, run.settings)
    _keep(run, name, trained, scores)


def _keep(
    run: PreparedRun, name: str, trained: Sequence[TrainedMember], scores: Sequence[np.ndarray]
) -> None:
    if jax.process_index():
        return  # the first process writes
    if name == next(iter(run.models)):
        ranges = [each.label_range for each in trained]
        path = run.folder.path / "model.safetensors"
        ensemble.save(path, [each.params for each in trained], ranges)
    rows: list[Prediction] = []
    for member, score_n in zip(run.trainings, scores, strict=True):
        rows += predictions.tested(member, run.features, score_n)
    # Written last: it tells that all is there.
    predictions.write(run.folder.path / name / "predictions.csv", rows)
