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
from a2inet_jax.model.ensemble import Ensemble
from a2inet_jax.run import RunFolder
from a2inet_jax.training import loop
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.loop import Callbacks
from a2inet_jax.training.members import Member, TrainedMember, join
from a2inet_jax.training.predict import predict
from a2inet_jax.training.runtime import TerminatedError


@dataclass(frozen=True)
class PreparedRun:
    """A run whose folder records what it is, ready to be trained.

    Attributes:
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


def try_splits(config: Experiment) -> int:
    """Draw the splits: a data set that cannot be split is refused before its features are made."""
    draw_splits(config, labelled_videos(config), listed_videos(config))
    return 0


def train(config: Experiment) -> int:
    """Train the model and its neural baselines on every split; keep their parameters and predictions.

    After SIGTERM a checkpoint is written, and the exit code is 143, as shells have it.
    """
    run = prepare_run(config)
    if not run.todo:
        say(f"train: {', '.join(run.models)} are trained already, in {run.folder.path}")
    try:
        for name in run.todo:
            with run.folder.timed("training", resumes=True):
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
    extractor = open_extractor(config)
    features = stored_features(config, videos, extractor.recipes)
    models = {name: build_model(name, config.model) for name in networks(config)}
    run = RunFolder.of(config)
    if jax.process_index() == 0:
        inputs = {
            "features": features.digest,
            "recipe": {name: each.as_dict() for name, each in extractor.recipes.items()},
            "labels": fingerprint(videos),
            "splits": splits.digest(drawn),
        }
        run.open(config, inputs)
        if not (run.path / "splits.json").is_file():
            splits.save(drawn, run.path / "splits.json")
        run.keep_files(dict(zip(features.ids, features.file_sha256)))
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
    data, joint_members = join(
        {
            str((run.folder.path / name).relative_to(shared)): (run.features, run.members)
            for run in runs
        }
    )
    trained, scores = _train_and_predict(
        first, first.models[name], data, joint_members, shared, f"{len(runs)} runs"
    )
    for run in runs:
        own = len(run.members)
        _keep(run, name, trained[:own], scores[:own])
        trained, scores = trained[own:], scores[own:]


def _train_alone(run: PreparedRun, name: str) -> None:
    concurrent = run.config.splits.concurrent_members or len(run.members)
    trained: list[TrainedMember] = []
    scores: list[np.ndarray] = []
    for start in range(0, len(run.members), concurrent):
        some, their_scores = _train_and_predict(
            run,
            run.models[name],
            run.features,
            run.members[start : start + concurrent],
            run.folder.path / name,
            name,
        )
        trained += some
        scores += their_scores
    _keep(run, name, trained, scores)


def _train_and_predict(
    run: PreparedRun,
    model: nn.Module,
    data: TrainingData,
    members: Sequence[Member],
    folder: Path,
    title: str,
) -> tuple[list[TrainedMember], list[np.ndarray]]:
    """Train members side by side; also return their scores of their test sets, in the labels' scale."""
    config = run.config.train
    with progress(title) as advance:
        trained = loop.train(model, data, members, config, folder, Callbacks(advance, say))
    tested = [data.indices(member.split.test) for member in members]
    return trained, predict(model, _ensemble(trained), data, tested, config)


def _ensemble(trained: Sequence[TrainedMember]) -> Ensemble:
    return Ensemble.stack([each.params for each in trained], [each.label_range for each in trained])


def _keep(
    run: PreparedRun, name: str, trained: Sequence[TrainedMember], scores: Sequence[np.ndarray]
) -> None:
    if jax.process_index():
        return  # the first process writes
    if name == next(iter(run.models)):
        ensemble.save(run.folder.path / "model.safetensors", _ensemble(trained))
    rows: list[Prediction] = []
    for member, score_n in zip(run.members, scores, strict=True):
        rows += predictions.member_predictions(member, run.features, score_n)
    # Written last: it marks the head as trained.
    predictions.write(run.folder.path / name / "predictions.csv", rows)
