"""`a2inet demo`: an experiment from its data set to its report."""

import argparse

from a2inet_jax.commands.options import Parser, add_config, experiment

SUMMARY = "make a data set, extract features, train, evaluate and report"
EXAMPLES = ("a2inet demo", "a2inet demo --config=dataset:clips/labels.csv --config.train.epochs=20")


def add_arguments(parser: Parser) -> None:
    """Declare the verb's arguments."""
    add_config(parser, default="sample")
    parser.set_defaults(handler=lambda options: _run(parser, options))


def _run(parser: Parser, options: argparse.Namespace) -> int:
    config = experiment(parser, options)
    from a2inet_jax.pipeline.demo import demo

    return demo(config)
