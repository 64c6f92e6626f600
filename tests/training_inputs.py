"""A small model and made-up features that it can learn from: what the tests of training share."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from a2inet_jax.datasets.splits import Split
from a2inet_jax.model.outputs import Outputs
from a2inet_jax.training.batches import Features

VIDEOS = 23


class MeanPooling(nn.Module):
    """Two dense layers and the mean over frames: it compiles in no time."""

    width: int = 8

    @nn.compact
    def __call__(self, streams: tuple[jax.Array, ...], mask: jax.Array) -> Outputs:
        x = jnp.concatenate(streams, axis=-1).astype(jnp.float32)
        frames = nn.Dense(1)(nn.relu(nn.Dense(self.width)(x)))[..., 0]
        frames = jnp.where(mask, frames, 0)
        return Outputs(frames.sum(axis=1) / mask.sum(axis=1), frames)


def make_features(seed: int = 0, videos: int = VIDEOS) -> Features:
    """Videos of 2 to 5 frames; the label is a linear function of the features' means."""
    random = np.random.default_rng(seed)
    streams = [
        (random.normal(size=(n, 6)), random.normal(size=(n, 4)))
        for n in random.integers(2, 6, size=videos)
    ]
    mos = [50 + 10 * (a.mean(axis=0).sum() - b.mean(axis=0).sum()) for a, b in streams]
    return Features.pack([f"v{n:02}" for n in range(videos)], streams, mos)


def make_split(features: Features, train: int = 13, validation: int = 5) -> Split:
    """The first videos to train on, the next to validate on, the rest to test on."""
    ids = features.ids
    return Split(ids[:train], ids[train : train + validation], ids[train + validation :])
