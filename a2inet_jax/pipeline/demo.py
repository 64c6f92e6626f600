"""`a2inet demo`: an experiment, prepare → extract → train → evaluate → report."""

from a2inet_jax.backbones import weights
from a2inet_jax.build import needed_weights
from a2inet_jax.config import Experiment
from a2inet_jax.pipeline.evaluate import evaluate
from a2inet_jax.pipeline.extract import extract
from a2inet_jax.pipeline.prepare import prepare
from a2inet_jax.pipeline.report import report
from a2inet_jax.pipeline.train import train, try_splits


def demo(config: Experiment) -> int:
    """Fetch the weights and run all steps; the exit code is that of the first step that fails.

    A step reuses what is complete, so the same command continues where it was killed.
    """
    for name in needed_weights(config):
        weights.get(name)
    if code := prepare(config.data):
        return code
    for step in (try_splits, extract, train, evaluate, report):
        if code := step(config):
            return code
    return 0
