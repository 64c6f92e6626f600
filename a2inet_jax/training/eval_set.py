"""The scores of the videos that a member does not train on."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from a2inet_jax.config import Train
from a2inet_jax.training import batch_plan as orders
from a2inet_jax.training.batch_plan import BatchPlan
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.loader import Loader
from a2inet_jax.training.parallel import Runner

_AHEAD = 2  # calls under way


class _Group(NamedTuple):
    """Videos of like length: where they stand in each member's part, and their order."""

    places: list[np.ndarray]
    order: BatchPlan


class Scored(NamedTuple):
    """What a call gives: scores on the devices, and which of its steps count."""

    scores: Any
    steps: slice


class EvalSet:
    """Videos to score, `[n_s]` for each member, sorted by length: short ones are padded little."""

    def __init__(
        self,
        features: TrainingData,
        parts: Sequence[np.ndarray],
        runner: Runner,
        settings: Train,
    ) -> None:
        self._parts = parts
        self._runner = runner
        size = settings.batch_size
        among = orders.buckets(features.lengths, settings.num_buckets)
        self._groups = [
            _Group(
                places,
                orders.arrange([p[at] for p, at in zip(parts, places)], size, runner.width(size)),
            )
            for _, places in orders.by_length(parts, features.lengths, among)
        ]
        self._no_label = np.zeros((len(parts), len(features.ids)), np.float32)

    def start(self, model: nn.Module, params: Any, feed: Loader) -> list[list[Scored]]:
        """Sets off the scoring by parameters `[S, ...]`; `read` waits for the result."""
        started = []
        for group in self._groups:
            scored: list[Scored] = []
            for call in feed.calls(group.order, self._no_label):
                if (
                    len(scored) >= _AHEAD
                ):  # or the inputs of all calls would be on the device at once
                    jax.block_until_ready(scored[-_AHEAD].scores)
                scores = self._runner.score(model, call.length, feed.frames, params, call.inputs)
                scored.append(Scored(scores, call.steps))
            started.append(scored)
        return started

    def read(self, started: list[list[Scored]]) -> list[np.ndarray]:
        """The scores, `[n_s]` float64 for each member, in the scale trained on."""
        found = [np.zeros(len(part)) for part in self._parts]
        for group, scored in zip(self._groups, started, strict=True):
            score = np.concatenate(
                [self._runner.scores(each.scores)[:, each.steps] for each in scored], axis=1
            )
            for s, places in enumerate(group.places):
                found[s][places] = score[s][group.order.where[s]]
        return found
