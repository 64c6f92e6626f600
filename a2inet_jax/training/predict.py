"""Prediction: scores of trained members on the test sets of their splits."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from a2inet_jax.config import Train
from a2inet_jax.training import loader as loaders
from a2inet_jax.training import parallel
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.eval_set import EvalSet
from a2inet_jax.training.members import Member, TrainedMember, member_indices


def predict(
    model: nn.Module,
    data: TrainingData,
    members: Sequence[Member],
    trained: Sequence[TrainedMember],
    config: Train,
) -> list[np.ndarray]:
    """Return the scores of each member's test set, `[n]` float64, in the labels' scale and set's order."""
    indices = [member_indices(member, data, config) for member in members]
    runner = parallel.make_runner(config.parallel, len(members))
    loader, _ = loaders.make_loader(data, runner, config)
    eval_set = EvalSet(data, [each.test for each in indices], runner, config)
    params: Any = jax.tree.map(lambda *x: np.stack(x), *(each.params for each in trained))
    scores = eval_set.read(eval_set.start(model, runner.put(params), loader))
    return [each.unscale_scores(score) for each, score in zip(indices, scores, strict=True)]
