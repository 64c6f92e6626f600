"""From the name of a data set to its videos."""

from collections.abc import Callable
from pathlib import Path

from a2inet_jax.datasets.sample import clips, sample_dataset_builder, sources
from a2inet_jax.datasets.video import Video
