"""Evaluation of a run on a data set that it was not trained on: each split's model scores all videos."""

import os
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import flax.linen as nn
import numpy as np

from a2inet_jax.config import Train
from a2inet_jax.datasets.splits import Split
from a2inet_jax.datasets.video import Video
from a2inet_jax.errors import RunError
from a2inet_jax.evaluation import protocol
from a2inet_jax.evaluation.predictions import Prediction, member_predictions
from a2inet_jax.evaluation.protocol import EvaluatedDataset
from a2inet_jax.model.ensemble import Ensemble
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.members import Member
from a2inet_jax.training.predict import predict


def test_set(videos: Sequence[Video]) -> list[Video]:
    """Return the data set's own test set, or all of its videos if it has none."""
    return [video for video in videos if video.subset == "test"] or list(videos)


def shared_videos(
    videos: Sequence[Video], sha256_N: Sequence[str], others: Sequence[Video], known: Set[str]
) -> list[Video]:
    """Return the videos whose files are among known ones.

    Args:
        videos: N videos.
        sha256_N: SHA-256 of their files; "" where it is unknown.
        others: Videos whose files are known, whatever paths and links lead there.
        known: SHA-256 of files that are known, whatever their names.
    """
    paths = {os.path.realpath(video.path) for video in others}
    return [
        video
        for video, sha256 in zip(videos, sha256_N, strict=True)
        if os.path.realpath(video.path) in paths or sha256 in known
    ]


def score_all(
    models: Ensemble,
    model: nn.Module,
    features: TrainingData,
    members: Sequence[Member],
    settings: Train,
) -> list[Prediction]:
    """Score all videos by each ensemble member, in the scale of the labels that it was trained on.

    Args:
        models: The run's models.
        model: The network that their parameters belong to.
        features: Features of the tested videos.
        members: In the order of the models.
        settings: Batch size and placement of the features; one device is used, whatever `parallel` is.

    Raises:
        RunError: The numbers of models and of members differ.
    """
    num_models = len(models.label_ranges)
    if num_models != len(members):
        raise RunError(
            f"the run has {num_models} models, but its config asks for {len(members)} ensemble "
            "members: train it again"
        )
    all_videos = np.arange(len(features.ids), dtype=np.int32)
    settings = replace(settings, parallel="jit")
    scores = predict(model, models, features, [all_videos] * num_models, settings)
    # Every video is in the test set of every member.
    tested = Split((), (), features.ids)
    return [
        row
        for member, score_N in zip(members, scores, strict=True)
        for row in member_predictions(replace(member, split=tested), features, score_N)
    ]


def results(
    model: str,
    rows: Sequence[Prediction],
    data: EvaluatedDataset,
    epoch_rule: str,
    contents: Mapping[str, str],
    num_seeds: int,
    trained_on: str,
    label_ranges: np.ndarray,
    num_known: int = 0,
) -> dict[str, Any]:
    """Return the `metrics.json` of a run on another data set.

    It has the fields of `protocol.results`, with the same arguments, and describes the two label scales. The
    logistic of PLCC and RMSE is fitted on the tested data set, to each model's scores: one that was fitted on
    the training data would measure how alike the two label scales are.

    Args:
        rows: Return value of `score_all`.
        trained_on: Title of the data set that the run was trained on.
        label_ranges: Lowest and highest training label of each ensemble member, [S, 2].
        num_known: Number of tested videos that are also in the data set that the run was trained on.
    """
    found = protocol.results(model, {model: rows}, data, epoch_rule, contents, (), num_seeds)
    mos = [row.mos for row in rows]
    return found | {
        "trained_on": trained_on,
        "known": num_known,
        "mapping": f"logistic fitted on {data.name}",
        "ranges": {
            "trained": [float(label_ranges[:, 0].min()), float(label_ranges[:, 1].max())],
            "tested": [min(mos), max(mos)],
        },
    }
