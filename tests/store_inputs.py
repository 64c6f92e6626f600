"""Small features, and recipes for them."""

import numpy as np

from a2inet_jax.features.recipe import Recipe
from a2inet_jax.features.record import VideoFeatures
from a2inet_jax.video.sampling import Sampling

RECIPE = Recipe("good", "11", "none", 6, Sampling(frames=16))
SEMANTIC_RECIPE = Recipe("better", "22", "half", 4, Sampling(frames=16))
LONG_RECIPE = Recipe("good", "11", "none", 6)  # of all frames
RECIPES = {"quality": RECIPE, "semantic": SEMANTIC_RECIPE}


def features(seed: int = 0, frames: int = 5, width: int = RECIPE.width) -> VideoFeatures:
    rng = np.random.default_rng(seed)
    return VideoFeatures(
        features=rng.normal(size=(frames, width)).astype(np.float16),
        frame_index=np.arange(frames, dtype=np.int32) * 3,
        timestamps=np.arange(frames) / 25,
    )


def assert_equal(one: VideoFeatures, other: VideoFeatures) -> None:
    for name, ours in vars(one).items():
        theirs = getattr(other, name)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
