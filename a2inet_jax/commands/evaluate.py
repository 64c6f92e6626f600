"""`a2inet evaluate`: the metrics of an experiment, or of several runs side by side."""

import argparse
from pathlib import Path

from a2inet_jax.commands.options import Parser, add_config, experiment, names

SUMMARY = "measure SRCC, PLCC, KRCC and RMSE, with intervals"
EXAMPLES = (
    "a2inet evaluate --config=sample",
    "a2inet evaluate runs/demo runs/motion --datasets=sample,clips/labels.csv",
)


def add_arguments(parser: Parser) -> None:
    """Declare the verb's arguments."""
    parser.variadic = "runs"
    parser.add_argument(
        "runs", nargs="*", type=Path, metavar="RUN", help="folders of trained runs, side by side"
    )
    add_config(parser)
    parser.add_argument(
        "--datasets",
        type=names,
        default=[],
        metavar="NAME,…",
        help="test the runs on these data sets (default: each on its own)",
    )
    parser.set_defaults(handler=lambda options: _run(parser, options))


def _run(parser: Parser, options: argparse.Namespace) -> int:
    if options.runs and (options.config or options.overrides):
        parser.error("RUN … takes no --config")
    if options.datasets and not options.runs:
        parser.error("--datasets goes with RUN …: a2inet evaluate RUN … --datasets=NAME")
    if not options.runs:
        config = experiment(parser, options)
        from a2inet_jax.pipeline.evaluate import evaluate

        return evaluate(config)
    from a2inet_jax.pipeline.evaluate import evaluate_runs

    return evaluate_runs([Path(run) for run in options.runs], options.datasets)
