"""A run on another data set than it was trained on: every split's model scores all of its videos."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import flax.linen as nn
import numpy as np

from a2inet_jax.config import Train
from a2inet_jax.datasets.video import Video
from a2inet_jax.evaluation import protocol
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.evaluation.protocol import Data
from a2inet_jax.model.ensemble import Ensemble
from a2inet_jax.training import loader as feeds
from a2inet_jax.training import parallel
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.eval_set import EvalSet
from a2inet_jax.training.members import Member


def tested(videos: Sequence[Video]) -> list[Video]:
    """What of a data set is tested: its own test part, or all of it where it has none."""
    return [video for video in videos if video.part == "test"] or list(videos)


def common(videos: Sequence[Video], others: Sequence[Video]) -> list[Video]:
    """The videos whose files are those of others too, by whatever paths and links."""
    files = {os.path.realpath(video.path) for video in others}
    return [video for video in videos if os.path.realpath(video.path) in files]


def predictions(
    models: Ensemble,
    model: nn.Module,
    features: TrainingData,
    trainings: Sequence[Member],
    settings: Train,
) -> list[Prediction]:
    """What each training's model says of all videos, in the scale of the labels that it has learned.

    Args:
        models: of the run.
        model: the network that their parameters belong to.
        features: of the videos tested.
        trainings: the run's, in the order of the models.
        settings: batch size and placement of the features; it is done on one device whatever they say.

    Raises:
        ValueError: there are more or fewer models than trainings.
    """
    number = len(models.label_ranges)
    if number != len(trainings):
        raise ValueError(
            f"{number} models, and {len(trainings)} trainings by the config: train again"
        )
    settings = replace(settings, parallel="jit")
    runner = parallel.runner(settings.parallel, number)
    feed, _ = feeds.choose(features, runner, settings)
    everything = np.arange(len(features.ids), dtype=np.int32)
    held_out = EvalSet(features, [everything] * number, runner, settings)
    scores = held_out.read(held_out.start(model, runner.put(models.params), feed))
    return [
        Prediction(
            training.split_index,
            features.ids[n],
            float(features.mos[n]),
            float(low + (high - low) * score_N[n]),
            training.seed,
        )
        for training, (low, high), score_N in zip(
            trainings, models.label_ranges, scores, strict=True
        )
        for n in everything
    ]


def results(
    model: str,
    rows: Sequence[Prediction],
    data: Data,
    epoch_rule: str,
    contents: Mapping[str, str],
    seeds: int,
    trained_on: str,
    label_ranges: np.ndarray,
    known: int = 0,
) -> dict[str, Any]:
    """What the `metrics.json` of another data set holds.

    It is that of `protocol.results`, with what a reader must know of the two scales. The logistic of PLCC
    and RMSE is fitted on the data set tested, to each model's scores: one that was fitted on the training
    data would measure how alike the two label scales are.

    Args:
        model: name of the run's model.
        rows: from `predictions`.
        data: the data set tested.
        epoch_rule: which epoch's parameters the models are of.
        contents: content (reference id) of each video tested.
        seeds: trainings of each split.
        trained_on: title of the data set trained on.
        label_ranges: lowest and highest label of each training, [S, 2].
        known: how many of the videos tested are of the data set trained on as well.
    """
    found = protocol.results(model, {model: rows}, data, epoch_rule, contents, (), seeds)
    mos = [row.mos for row in rows]
    return found | {
        "trained_on": trained_on,
        "known": known,
        "mapping": f"logistic fitted on {data.name}",
        "ranges": {
            "trained": [float(label_ranges[:, 0].min()), float(label_ranges[:, 1].max())],
            "tested": [min(mos), max(mos)],
        },
    }
