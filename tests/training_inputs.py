"""A small model and made-up features that it can learn from: what the tests of training share."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from a2inet_jax.datasets.splits import Split
from a2inet_jax.model.outputs import Outputs
from a2inet_jax.training.features import Features
from a2inet_jax.training.replica import Replica

VIDEOS = 23


class MeanPooling(nn.Module):
    """Two dense layers and the mean over frames: it compiles in no time."""

    width: int = 8

    @nn.compact
    def __call__(
        self, streams: tuple[jax.Array, ...], mask: jax.Array, keys: jax.Array | None = None
    ) -> Outputs:
        x = jnp.concatenate(streams, axis=-1).astype(jnp.float32)
        x = jnp.where(mask[..., None], x, 0)
        frames = nn.Dense(1)(nn.relu(nn.Dense(self.width)(x)))[..., 0]
        frames = jnp.where(mask, frames, 0)
        return Outputs(frames.sum(axis=1) / jnp.maximum(mask.sum(axis=1), 1), frames)


def make_features(seed: int = 0, videos: int = VIDEOS, longest: int = 5) -> Features:
    """Videos of 2 or more frames; the label is a linear function of the features' means."""
    random = np.random.default_rng(seed)
    streams = [
        (random.normal(size=(n, 6)), random.normal(size=(n, 4)))
        for n in random.integers(2, longest + 1, size=videos)
    ]
    mos = [50 + 10 * (a.mean(axis=0).sum() - b.mean(axis=0).sum()) for a, b in streams]
    return Features.of_arrays([f"v{n:02}" for n in range(videos)], streams, mos)


def make_split(features: Features, train: int = 13, validation: int = 5) -> Split:
    """The first videos to train on, the next to validate on, the rest to test on."""
    ids = features.ids
    return Split(ids[:train], ids[train : train + validation], ids[train + validation :])


def make_replicas(
    features: Features, train: Sequence[int] = (13, 9, 11), validation: int = 5, seed: int = 0
) -> list[Replica]:
    """Replicas whose training parts have these sizes, each of other videos than the last."""
    replicas = []
    for number, size in enumerate(train):
        ids = np.random.default_rng(number).permutation(features.ids).tolist()
        split = Split(
            tuple(ids[:size]), tuple(ids[size : size + validation]), tuple(ids[size + validation :])
        )
        replicas.append(Replica(number, seed, split))
    return replicas
