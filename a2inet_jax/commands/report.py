"""`a2inet report`: a page of a run, or of several together."""

import argparse
from pathlib import Path

from a2inet_jax.commands.options import Parser, add_config, experiment

SUMMARY = "write a page of one run or of several"
EXAMPLES = ("a2inet report --config=sample", "a2inet report runs/demo runs/motion --out=both")


def add_arguments(parser: Parser) -> None:
    """Declare the verb's arguments."""
    parser.variadic = "runs"
    parser.add_argument(
        "runs", nargs="*", type=Path, metavar="RUN", help="folders of evaluated runs"
    )
    add_config(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="folder of the page (default: the run's own, or runs/report for several)",
    )
    parser.set_defaults(handler=lambda options: _run(parser, options))


def _run(parser: Parser, options: argparse.Namespace) -> int:
    if options.runs and (options.config or options.overrides):
        parser.error("RUN … takes no --config")
    if options.out and not options.runs:
        parser.error("--out goes with RUN …: a2inet report RUN … --out=FOLDER")
    if not options.runs:
        config = experiment(parser, options)
        from a2inet_jax.pipeline.report import report

        return report(config)
    from a2inet_jax.pipeline.report import report_runs

    return report_runs([Path(run) for run in options.runs], options.out)
