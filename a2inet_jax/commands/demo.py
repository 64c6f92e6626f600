"""`a2inet demo`: an experiment, prepare → extract → train → evaluate → report."""

import argparse
from typing import TYPE_CHECKING

from a2inet_jax.commands.options import Parser, add_config, experiment

if TYPE_CHECKING:
    from a2inet_jax.config import Experiment

SUMMARY = "make a data set, extract features, train, evaluate and report"
EXAMPLES = ("a2inet demo", "a2inet demo --config=dataset:clips/labels.csv --config.train.epochs=20")


def add_arguments(parser: Parser) -> None:
    """Declare the verb's arguments."""
    add_config(parser, default="sample")
    parser.set_defaults(handler=lambda options: _run(parser, options))


def _run(parser: Parser, options: argparse.Namespace) -> int:
    return demo(experiment(parser, options))


def demo(config: "Experiment") -> int:
    """Fetch the weights and run all steps; the exit code is that of the first step that fails.

    A step reuses what is complete, so the same command continues where it was killed.
    """
    from a2inet_jax.backbones import weights
    from a2inet_jax.build import needed_weights
    from a2inet_jax.pipeline.evaluate import evaluate
    from a2inet_jax.pipeline.extract import extract
    from a2inet_jax.pipeline.prepare import prepare
    from a2inet_jax.pipeline.report import report
    from a2inet_jax.pipeline.train import train, try_splits

    for name in needed_weights(config):
        weights.get(name)
    if code := prepare(config.data):
        return code
    for step in (try_splits, extract, train, evaluate, report):
        if code := step(config):
            return code
    return 0
