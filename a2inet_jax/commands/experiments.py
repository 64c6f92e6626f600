"""The verbs of an experiment: `demo`, `train`, `evaluate`, `report`, `table` and `describe`."""

import argparse
import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from a2inet_jax.commands.options import (
    Parser,
    add_command,
    add_config,
    add_override_help,
    at_least,
    experiment,
    names,
)


def add_demo(verbs: Any) -> None:
    """Declare `a2inet demo`."""
    add_config(add_command(verbs, "demo", _demo), default="sample")


def add_train(verbs: Any) -> None:
    """Declare `a2inet train`."""
    verb = add_command(verbs, "train", _train)
    add_config(verb)
    group = verb.add_argument_group(
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


def add_evaluate(verbs: Any) -> None:
    """Declare `a2inet evaluate`."""
    verb = add_command(verbs, "evaluate", _evaluate)
    _add_runs(verb, "folders of trained runs, side by side")
    add_config(verb)
    verb.add_argument(
        "--datasets",
        type=names,
        default=[],
        metavar="NAME,…",
        help="test the runs on these data sets (default: each on its own)",
    )


def add_report(verbs: Any) -> None:
    """Declare `a2inet report`."""
    verb = add_command(verbs, "report", _report)
    _add_runs(verb, "folders of evaluated runs")
    add_config(verb)
    verb.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="folder of the page (default: the run's own, or runs/report for several)",
    )


def add_table(verbs: Any) -> None:
    """Declare `a2inet table`."""
    verb = add_command(verbs, "table", _table)
    verb.takes_overrides = True
    verb.add_argument(
        "number", type=int, choices=range(2, 8), metavar="2|3|4|5|6|7", help="number of the table"
    )
    verb.add_argument(
        "--datasets",
        type=names,
        default=[],
        metavar="NAME,…",
        help="data sets, the columns (default: the table's own)",
    )
    verb.add_argument(
        "--networks",
        choices=("paper", "index"),
        default="",
        help="the paper's networks, or the package index's (default: index for sample, else paper)",
    )
    add_override_help(verb.add_argument_group("config", "of every row"))


def add_describe(verbs: Any) -> None:
    """Declare `a2inet describe`."""
    verb = add_command(verbs, "describe", _describe)
    add_config(verb)
    verb.add_argument(
        "--frames",
        type=at_least(1),
        default=240,
        metavar="N",
        help="frames of the video (default: %(default)s)",
    )
    verb.add_argument("--json", action="store_true", help="print a JSON object")


def _add_runs(verb: Parser, meaning: str) -> None:
    verb.variadic = "runs"
    verb.add_argument("runs", nargs="*", type=Path, metavar="RUN", help=meaning)


def _demo(options: argparse.Namespace) -> int:
    """Make a data set, extract features, train, evaluate and report.

    a2inet demo
    a2inet demo --config=dataset:clips/labels.csv --config.train.epochs=20
    """
    config = experiment(options)
    from a2inet_jax.pipeline.demo import demo

    return demo(config)


def _train(options: argparse.Namespace) -> int:
    """Train the model and its baselines on every split.

    a2inet train --config=sample --config.name=wide --config.model.width=512
    a2inet train --config=table6:adain_s_to_q,S+S@live_vqc
    """
    config = experiment(options)
    with _joined(options):
        from a2inet_jax.pipeline.train import train

        return train(config)


def _joined(options: argparse.Namespace) -> AbstractContextManager[None]:
    """Return the other processes of the command, if options name some."""
    one = (options.coordinator, options.processes, options.process)
    given = [each is not None for each in one]
    if not any(given) and not options.distributed:
        return nullcontext()
    if any(given) and (options.distributed or not all(given) or ":" not in options.coordinator):
        options.error(
            "take --distributed, or all of --coordinator=HOST:PORT, --processes=N and --process=I"
        )
    from a2inet_jax import processes

    return processes.joined_processes(*one)


def _evaluate(options: argparse.Namespace) -> int:
    """Measure SRCC, PLCC, KRCC and RMSE, with intervals.

    a2inet evaluate --config=sample
    a2inet evaluate runs/demo runs/motion --datasets=sample,clips/labels.csv
    """
    _refuse_config_of_runs(options)
    if options.datasets and not options.runs:
        options.error("--datasets goes with RUN …: a2inet evaluate RUN … --datasets=NAME")
    config = None if options.runs else experiment(options)
    from a2inet_jax.pipeline.evaluate import evaluate, evaluate_runs

    return evaluate(config) if config else evaluate_runs(options.runs, options.datasets)


def _report(options: argparse.Namespace) -> int:
    """Write a page of one run or of several.

    a2inet report --config=sample
    a2inet report runs/demo runs/motion --out=both
    """
    _refuse_config_of_runs(options)
    if options.out and not options.runs:
        options.error("--out goes with RUN …: a2inet report RUN … --out=FOLDER")
    config = None if options.runs else experiment(options)
    from a2inet_jax.pipeline.report import report, report_runs

    return report(config) if config else report_runs(options.runs, options.out)


def _refuse_config_of_runs(options: argparse.Namespace) -> None:
    if options.runs and (options.config or options.overrides):
        options.error("RUN … takes no --config")


def _table(options: argparse.Namespace) -> int:
    """Make a table of the paper, beside the paper's numbers.

    a2inet table 7 --datasets=sample
    a2inet table 2 --datasets=konvid_1k,live_vqc --networks=index --config.train.epochs=20
    """
    from a2inet_jax.pipeline.table import table

    return table(options.number, options.datasets, options.networks, options.overrides)


def _describe(options: argparse.Namespace) -> int:
    """Count the parameters and FLOPs of an experiment's heads.

    a2inet describe --config=sample
    a2inet describe --config=dataset:konvid_1k --frames=240 --json
    """
    config = experiment(options)
    from a2inet_jax.build import backbone, build_model, networks
    from a2inet_jax.console import console, progress
    from a2inet_jax.model import cost

    widths = [backbone(getattr(config.features, name)).width for name in config.model.streams]
    heads, costs = networks(config), {}
    with progress("describe") as advance:
        for done, name in enumerate(heads):
            advance(name, done, len(heads))
            costs[name] = cost.measure(build_model(name, config.model), widths, options.frames)
    if options.json:
        models = {name: each.as_dict() for name, each in costs.items()}
        print(json.dumps({"config": config.name, "frames": options.frames, "models": models}))
    else:
        for name, each in costs.items():
            console.print(cost.table(name, each))
    return 0
