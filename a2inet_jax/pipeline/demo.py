"""An experiment from its data set to its report: prepare → extract → train → evaluate → report.

A step reuses what is complete, so the same command continues where it was killed.
"""

from a2inet_jax.backbones import weights
from a2inet_jax.build import draw_splits, labelled_videos, listed_videos, needed_weights
from a2inet_jax.config import Experiment
from a2inet_jax.pipeline.evaluate import evaluate
from a2inet_jax.pipeline.extract import extract
from a2inet_jax.pipeline.prepare import prepare
from a2inet_jax.pipeline.report import report
from a2inet_jax.pipeline.train import train


def demo(config: Experiment) -> int:
    """Fetch the weights and run all steps; the exit code is that of the first step that fails."""
    for name in needed_weights(config):
        weights.get(name)
    if code := prepare(config.data):
        return code
    for step in (try_splits, extract, train, evaluate, report):
        if code := step(config):
            return code
    return 0


def try_splits(config: Experiment) -> int:
    """Draw the splits: a data set that cannot be split is refused before its features are made."""
    draw_splits(config, labelled_videos(config), listed_videos(config))
    return 0
