"""What trained members say of the test parts of their splits."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from a2inet_jax.config import Train
from a2inet_jax.training import loader as feeds
from a2inet_jax.training import parallel
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.eval_set import EvalSet
from a2inet_jax.training.members import Member, TrainedMember, member_indices


def predict(
    model: nn.Module,
    features: TrainingData,
    members: Sequence[Member],
    trained: Sequence[TrainedMember],
    settings: Train,
) -> list[np.ndarray]:
    """Scores of each member's test part, `[n]` float64, in the labels' scale and the part's order."""
    parts = [member_indices(member, features, settings) for member in members]
    runner = parallel.runner(settings.parallel, len(members))
    feed, _ = feeds.choose(features, runner, settings)
    held_out = EvalSet(features, [part.test for part in parts], runner, settings)
    params: Any = jax.tree.map(lambda *x: np.stack(x), *(each.params for each in trained))
    scores = held_out.read(held_out.start(model, runner.put(params), feed))
    return [part.mos(score) for part, score in zip(parts, scores, strict=True)]
