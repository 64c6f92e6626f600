"""Scores of many videos in batches, while training and after it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from a2inet_jax.config import Train
from a2inet_jax.model.ensemble import Ensemble, to_labels
from a2inet_jax.training import batches, parallel
from a2inet_jax.training import loader as loaders
from a2inet_jax.training.batches import BatchPlan
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.loader import Loader
from a2inet_jax.training.parallel import Runner

_MAX_DISPATCHED = 2  # chunks on the device at a time


def predict(
    model: nn.Module,
    models: Ensemble,
    data: TrainingData,
    subsets: Sequence[np.ndarray],
    config: Train,
) -> list[np.ndarray]:
    """Score videos by each ensemble member.

    Args:
        model: The network that the parameters belong to.
        models: The members' parameters and label ranges.
        data: Features of the videos.
        subsets: Indices of each member's videos, `[n_s]` int.
        config: Batch size, devices and placement of the features.

    Returns:
        Scores of each member's videos, `[n_s]` float64, in the scale of the labels it was trained on.
    """
    runner = parallel.make_runner(config.parallel, len(subsets))
    loader, _ = loaders.make_loader(data, runner, config)
    eval_set = EvalSet(data, subsets, runner, config)
    scores = eval_set.read(eval_set.dispatch(model, runner.put(models.params), loader))
    return [
        to_labels(score, label_range)
        for score, label_range in zip(scores, models.label_ranges, strict=True)
    ]


class _Bucket(NamedTuple):
    """Videos of similar length: their positions in each member's subset, and their batches."""

    positions: list[np.ndarray]
    plan: BatchPlan


class DispatchedChunk(NamedTuple):
    """Scores that a device computes, and the steps of them that count."""

    scores: Any
    steps: slice


class EvalSet:
    """Videos to score, `[n_s]` for each member, grouped by length so that short ones are padded little."""

    def __init__(
        self,
        data: TrainingData,
        subsets: Sequence[np.ndarray],
        runner: Runner,
        config: Train,
    ) -> None:
        self._subsets = subsets
        self._runner = runner
        batch_size = config.batch_size
        padded_batch_size = runner.padded_batch_size(batch_size)
        lengths = batches.bucket_lengths(data.lengths, config.num_buckets)
        self._buckets = []
        for _, positions in batches.group_by_bucket(subsets, data.lengths, lengths):
            chosen = [subset[at] for subset, at in zip(subsets, positions)]
            plan = batches.in_order(chosen, batch_size, padded_batch_size)
            self._buckets.append(_Bucket(positions, plan))
        self._no_labels_SxN = np.zeros((len(subsets), len(data.ids)), np.float32)

    def dispatch(
        self, model: nn.Module, params: Any, loader: Loader
    ) -> list[list[DispatchedChunk]]:
        """Dispatch the scoring with parameters `[S, ...]`; `read` waits for the scores."""
        started = []
        for bucket in self._buckets:
            dispatched: list[DispatchedChunk] = []
            for chunk in loader.chunks(bucket.plan, self._no_labels_SxN):
                # Without this wait the inputs of all chunks would be on the device at once.
                if len(dispatched) >= _MAX_DISPATCHED:
                    jax.block_until_ready(dispatched[-_MAX_DISPATCHED].scores)
                scores = self._runner.score(
                    model, chunk.length, loader.features, params, chunk.inputs
                )
                dispatched.append(DispatchedChunk(scores, chunk.steps))
            started.append(dispatched)
        return started

    def read(self, started: list[list[DispatchedChunk]]) -> list[np.ndarray]:
        """Return the scores, `[n_s]` float64 for each member, in the scale of the training labels."""
        scores = [np.zeros(len(subset)) for subset in self._subsets]
        for bucket, dispatched in zip(self._buckets, started, strict=True):
            score_SxKxB = np.concatenate(
                [self._runner.scores(each.scores)[:, each.steps] for each in dispatched], axis=1
            )
            for s, positions in enumerate(bucket.positions):
                scores[s][positions] = score_SxKxB[s][bucket.plan.where[s]]
        return scores
