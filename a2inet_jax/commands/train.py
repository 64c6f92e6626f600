"""`a2inet train`: the heads of an experiment, on every split."""

import argparse
from contextlib import AbstractContextManager, nullcontext

from a2inet_jax.commands.options import Parser, add_config, at_least, experiment

SUMMARY = "train the model and its baselines on every split"
EXAMPLES = (
    "a2inet train --config=sample --config.name=wide --config.model.width=512",
    "a2inet train --config=table6:adain_s_to_q,S+S@live_vqc",
)


def add_arguments(parser: Parser) -> None:
    """Declare the verb's arguments."""
    add_config(parser)
    group = parser.add_argument_group(
        "several processes", "with --config.train.parallel=mesh, in one folder on a shared disk"
    )
    group.add_argument(
        "--distributed", action="store_true", help="one of several processes of SLURM or Open MPI"
    )
    group.add_argument("--coordinator", metavar="HOST:PORT", help="address of the first process")
    group.add_argument("--processes", metavar="N", type=at_least(1), help="number of processes")
    group.add_argument(
        "--process", metavar="I", type=at_least(0), help="index of this process, from 0"
    )
    parser.set_defaults(handler=lambda options: _run(parser, options))


def _run(parser: Parser, options: argparse.Namespace) -> int:
    config = experiment(parser, options)
    with _joined(parser, options):
        from a2inet_jax.pipeline.train import train

        return train(config)


def _joined(parser: Parser, options: argparse.Namespace) -> AbstractContextManager[None]:
    """The other processes of the command, if options name some."""
    one = (options.coordinator, options.processes, options.process)
    given = [each is not None for each in one]
    if not any(given) and not options.distributed:
        return nullcontext()
    if any(given) and (options.distributed or not all(given) or ":" not in options.coordinator):
        parser.error(
            "take --distributed, or all of --coordinator=HOST:PORT, --processes=N and --process=I"
        )
    from a2inet_jax import processes

    return processes.joined_processes(*one)
