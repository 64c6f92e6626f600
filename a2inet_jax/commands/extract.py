"""`a2inet extract`: features of a data set, or of any videos."""

import argparse
import re
from pathlib import Path
from typing import Any

from a2inet_jax.commands.options import add_command, add_config, at_least, experiment


def add_verb(verbs: Any) -> None:
    """Declare `a2inet extract`."""
    verb = add_command(verbs, "extract", _run)
    verb.variadic = "paths"
    verb.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="VIDEO|FOLDER|CSV",
        help="videos in place of the experiment's data set; a CSV file has a column `path`",
    )
    add_config(verb)
    verb.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="folder of the store; needed with VIDEO, FOLDER or CSV",
    )
    verb.add_argument(
        "--shard",
        type=_shard,
        default=(0, 1),
        metavar="I/N",
        help="the I-th, from 0, of N shards of the videos; N such commands do the whole work",
    )
    verb.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="this machine's devices, or those of a Ray cluster (default: local)",
    )
    verb.add_argument(
        "--address", metavar="HOST:PORT", help="ray: the cluster's head (default: Ray here)"
    )
    verb.add_argument(
        "--actors",
        type=at_least(1),
        default=0,
        metavar="N",
        help="ray: number of actors (default: as many as there are GPUs, or nodes)",
    )


def _run(options: argparse.Namespace) -> int:
    """Extract the features of every video that has none yet.

    a2inet extract --config=sample
    a2inet extract --config=sample clips/ list.csv --out=features --shard=0/8
    """
    if options.engine != "ray" and (options.address or options.actors):
        options.error("--address and --actors go with --engine=ray")
    if options.paths and not options.out:
        options.error("your own videos need a store: a2inet extract VIDEO|FOLDER|CSV --out=FOLDER")
    if options.out and not options.paths:
        options.error("--out=FOLDER is the store of your own videos: name them, or leave it out")
    config = experiment(options)
    from a2inet_jax.pipeline.extract import extract

    return extract(
        config,
        options.paths,
        options.out,
        options.shard,
        options.engine,
        options.address,
        options.actors,
    )


def _shard(text: str) -> tuple[int, int]:
    shard = re.fullmatch(r"(\d+)/(\d+)", text)
    if not shard or not int(shard[1]) < int(shard[2]):
        raise argparse.ArgumentTypeError(
            f"{text!r}: it takes I/N with I from 0 to N - 1, such as 0/8"
        )
    return int(shard[1]), int(shard[2])
