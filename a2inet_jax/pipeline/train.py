"""`a2inet train`: the heads of a run, on every split; and several runs as one program."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import flax.linen as nn
import jax
import numpy as np

from a2inet_jax.build import (
    build_model,
    draw_splits,
    labelled_videos,
    listed_videos,
    members,
    networks,
    open_extractor,
    stored_features,
)
from a2inet_jax.config import Experiment
from a2inet_jax.console import progress, say
from a2inet_jax.datasets import splits
from a2inet_jax.datasets.verify import fingerprint
from a2inet_jax.errors import ConfigError
from a2inet_jax.evaluation import predictions
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.files import cache_dir
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
    """A run whose folder records what it is, ready to be trained.

    Attributes:
        config: The experiment.
        folder: The run's folder.
        models: The run's heads by name; its own model is the first.
        features: Features and labels of all videos.
        members: The ensemble members: each split with each seed.
    """

    config: Experiment
    folder: RunFolder
    models: dict[str, nn.Module]
    features: TrainingData
    members: tuple[Member, ...]

    @property
    def todo(self) -> list[str]:
        """Names of the heads that are not trained yet."""
        paths = {name: self.folder.path / name / "predictions.csv" for name in self.models}
        return [name for name, path in paths.items() if not path.is_file()]


def train(config: Experiment) -> int:
    """Train the model and its neural baselines on every split; keep their parameters and predictions.

    After SIGTERM a checkpoint is written, and the exit code is 143, as shells have it.
    """
    run = prepare_run(config)
    if not run.todo:
        say(f"train: {', '.join(run.models)} are trained already, in {run.folder.path}")
    try:
        for name in run.todo:
            _train_alone(run, name)
    except TerminatedError as stopped:
        return say_stopped(stopped)
    return 0


def prepare_run(config: Experiment) -> PreparedRun:
    """Draw a run's splits and record what it is; a run that cannot be trained is refused before that.

    Raises:
        FileNotFoundError: The data set or its features are not here.
        RunError: The folder holds another experiment's run.
        ConfigError: A field of the config cannot be used.
    """
    if jax.process_count() > 1 and config.train.parallel != "mesh":
        raise ConfigError("several processes train together by --config.train.parallel=mesh alone")
    if not jax.config.values["jax_compilation_cache_dir"]:
        jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "compiled"))
    videos = labelled_videos(config)
    drawn = draw_splits(config, videos, listed_videos(config))
    extractor = open_extractor(config.features)
    features = stored_features(config, videos, extractor)
    models = {name: build_model(name, config.model) for name in networks(config)}
    run = RunFolder.of(config)
    if jax.process_index() == 0:
        inputs = {
            "features": features.digest,
            "recipe": extractor.recipe.as_dict(),
            "labels": fingerprint(videos),
            "splits": splits.digest(drawn),
        }
        run.open(config, inputs)
        if not (run.path / "splits.json").is_file():
            splits.save(drawn, run.path / "splits.json")
    return PreparedRun(config, run, models, features, tuple(members(config, drawn)))


def say_stopped(stopped: TerminatedError) -> int:
    """Say that training was asked to stop; return the exit code."""
    say(f"{stopped}: the same command resumes here")
    return 128 + signal.SIGTERM


def train_jointly(runs: Sequence[PreparedRun]) -> None:
    """Train several runs' own models, which are equal and take features of equal widths, side by side.

    Raises:
        DivergedError: A loss or a parameter is not finite.
        TerminatedError: SIGTERM came, and a checkpoint was written.
    """
    first = runs[0]
    name = next(iter(first.models))
    if len(runs) == 1:
        _train_alone(first, name)
        return
    # The folder that holds all of them, so that each finds its history in its own.
    shared = Path("runs")
    groups = {
        str((run.folder.path / name).relative_to(shared)): RunInputs(run.features, run.members)
        for run in runs
    }
    with progress(f"{len(runs)} runs") as advance:
        callbacks = Callbacks(advance, say)
        outcomes = train_together(first.models[name], groups, first.config.train, shared, callbacks)
    for run, outcome in zip(runs, outcomes.values(), strict=True):
        _keep(run, name, outcome.trained, outcome.scores)


def _train_alone(run: PreparedRun, name: str) -> None:
    concurrent = run.config.splits.concurrent_members or len(run.members)
    trained: list[TrainedMember] = []
    scores: list[np.ndarray] = []
    for start in range(0, len(run.members), concurrent):
        group = run.members[start : start + concurrent]
        model, settings, folder = run.models[name], run.config.train, run.folder.path / name
        with progress(name) as advance:
            callbacks = Callbacks(advance, say)
            found = loop.train(model, run.features, group, settings, folder, callbacks)
        trained += found
        scores += predict(model, run.features, group, found, settings)
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
    for member, score_n in zip(run.members, scores, strict=True):
        rows += predictions.member_predictions(member, run.features, score_n)
    # Written last: it marks the head as trained.
    predictions.write(run.folder.path / name / "predictions.csv", rows)
