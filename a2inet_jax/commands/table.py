"""`a2inet table`: a table of the paper, beside the paper's numbers."""

import argparse

from a2inet_jax.commands.options import Parser, add_override_help, names

SUMMARY = "make a table of the paper, beside the paper's numbers"
EXAMPLES = (
    "a2inet table 7 --datasets=sample",
    "a2inet table 2 --datasets=konvid_1k,live_vqc --networks=index --config.train.epochs=20",
)


def add_arguments(parser: Parser) -> None:
    """Declare the verb's arguments."""
    parser.takes_overrides = True
    parser.add_argument(
        "number", type=int, choices=range(2, 8), metavar="2|3|4|5|6|7", help="number of the table"
    )
    parser.add_argument(
        "--datasets",
        type=names,
        default=[],
        metavar="NAME,…",
        help="data sets, the columns (default: the table's own)",
    )
    parser.add_argument(
        "--networks",
        choices=("paper", "index"),
        default="",
        help="the paper's networks, or the package index's (default: index for sample, else paper)",
    )
    add_override_help(parser.add_argument_group("config", "of every row"))
    parser.set_defaults(handler=_run)


def _run(options: argparse.Namespace) -> int:
    from a2inet_jax.pipeline.table import table

    return table(options.number, options.datasets, options.networks, options.overrides)
