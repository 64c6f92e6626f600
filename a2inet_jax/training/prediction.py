"""What trained replicas say of the test parts of their splits."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from a2inet_jax.training import feed as feeds
from a2inet_jax.training import parallel
from a2inet_jax.training.features import Features
from a2inet_jax.training.held_out import HeldOut
from a2inet_jax.training.replica import Replica, Trained, parts_of
from a2inet_jax.training.settings import Settings


def predict(
    model: nn.Module,
    features: Features,
    replicas: Sequence[Replica],
    trained: Sequence[Trained],
    settings: Settings,
) -> list[np.ndarray]:
    """Scores of each replica's test part, `[n]` float64, in the labels' scale and the part's order."""
    parts = [parts_of(replica, features, settings) for replica in replicas]
    runner = parallel.runner(settings.parallel, len(replicas))
    feed, _ = feeds.choose(features, runner, settings)
    held_out = HeldOut(features, [part.test for part in parts], runner, settings)
    params: Any = jax.tree.map(lambda *x: np.stack(x), *(each.params for each in trained))
    scores = held_out.read(held_out.start(model, runner.put(params), feed))
    return [part.mos(score) for part, score in zip(parts, scores, strict=True)]
