"""Small features and a recipe for them."""

import dataclasses

import numpy as np

from a2inet_jax.features.recipe import Recipe
from a2inet_jax.features.store import VideoFeatures
from a2inet_jax.video.sampling import Sampling

RECIPE = Recipe("good", "11", "none", "better", "22", "half", Sampling(frames=16))


def features(seed: int = 0, frames: int = 5) -> VideoFeatures:
    rng = np.random.default_rng(seed)
    return VideoFeatures(
        quality=rng.normal(size=(frames, 6)).astype(np.float16),
        semantic=rng.normal(size=(frames, 4)).astype(np.float16),
        frame_index=np.arange(frames, dtype=np.int32) * 3,
        timestamps=np.arange(frames) / 25,
    )


def assert_equal(one: VideoFeatures, other: VideoFeatures) -> None:
    for field in dataclasses.fields(VideoFeatures):
        ours, theirs = getattr(one, field.name), getattr(other, field.name)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
