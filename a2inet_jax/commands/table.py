"""`a2inet table N`: the rows of a table of the paper, trained and tested on data sets here.

What rows share is made once: equal experiments are one run, a network describes a data set once, and runs
whose networks and features have equal shapes train as one program. What can't be made is skipped, with the
reason; the same command goes on where it was.
"""

import functools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from a2inet_jax.backbones import weights
from a2inet_jax.commands import evaluate, experiment, report, train
from a2inet_jax.commands.table_plan import Plan, make
from a2inet_jax.console import console
from a2inet_jax.datasets import index
from a2inet_jax.evaluation import protocol
from a2inet_jax.from_config import Config, needed_weights, on, plain
from a2inet_jax.report import side_by_side
from a2inet_jax.run_folder import RunFolder
from a2inet_jax.training.termination import TerminatedError

METRICS = ["plcc", "srcc"]  # those of the paper
ERRORS = (OSError, ValueError, RuntimeError, ArithmeticError)  # those that main tells in one line


@dataclass
class Progress:
    """What became of the runs.

    Attributes:
      configs: of all runs, by name.
      skipped: name of a run → why it could not be made.
    """

    configs: Mapping[str, Config]
    skipped: dict[str, str] = field(default_factory=dict)

    def left(self) -> dict[str, Config]:
        """The runs that nothing stands against."""
        return {name: each for name, each in self.configs.items() if name not in self.skipped}

    def attempt(self, names: Sequence[str], step: Callable[[], int], failure: str = "") -> None:
        """Do what these runs need; they are skipped if it fails: with an error, or with an exit code."""
        try:
            reason = failure if step() else ""
        except TerminatedError:
            raise
        except ERRORS as error:
            reason = str(error) or type(error).__name__
        if reason:
            self.skipped |= dict.fromkeys(names, reason)
            line = f"skipped {', '.join(names)}: {reason}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def table(number: int, datasets: Sequence[str], networks: str, changes: Sequence[str]) -> int:
    """Make a table of the paper, and print it beside the paper's numbers.

    Args:
      number: of the table, 2 to 7.
      datasets: names of data sets, or CSV files; those of the paper's table if empty.
      networks: "paper", "index" (those that the package index carries), or "": as the data set has it.
      changes: fields of every config, "train.epochs=20" and the like.

    Returns:
      The exit code: 1 if a cell of the table is empty; 143 after SIGTERM.
    """
    plan = make(number, datasets, networks, changes)
    runs, elsewhere = Progress(plan.runs()), Progress(_elsewhere(plan))
    todo = {name: config for name, config in runs.configs.items() if not _is_trained(config)}
    work = Progress({**todo, **elsewhere.configs})
    for step in (_prepare, _fetch, _extract):
        step(work)
    for progress in (runs, elsewhere):
        progress.skipped |= {k: v for k, v in work.skipped.items() if k in progress.configs}
    try:
        _train(runs, list(todo))
    except TerminatedError as stopped:
        return train.say_stopped(stopped)
    content = _content(plan, runs, elsewhere)
    folder = Path("runs") / "tables" / f"table{number}"
    side_by_side.write(folder, content)
    console.print(side_by_side.terminal(content))
    path = report.report_table(content, folder)
    console.print(f"Report: {path.resolve()}", soft_wrap=True, highlight=False)
    cells = [cell for row in content["rows"] for cell in row["cells"].values()]
    return int(any("skipped" in cell for cell in cells))


def _elsewhere(plan: Plan) -> dict[str, Config]:
    """The runs on data sets that they are not trained on: what is to be extracted there."""
    found: dict[str, Config] = {}
    for name, config in plan.runs().items():
        for dataset in plan.tested:
            if dataset not in plan.trained:
                found[_on(name, dataset)] = on(config, dataset)
    return found


def _on(name: str, dataset: str) -> str:
    return f"{name} on {dataset}"


def _is_trained(config: Config) -> bool:
    run = RunFolder(Path("runs") / config["name"])
    try:
        run.check(plain(config))
    except FileNotFoundError:
        return False
    return (run.path / config["model"]["name"] / "predictions.csv").is_file()


def _prepare(progress: Progress) -> None:
    for names, config in _grouped(progress, lambda config: config["data"]["name"]):
        name = config["data"]["name"]
        failure = (
            f"videos are missing: `a2inet data verify {name}` lists them, "
            "--set=data.allow_missing=True goes on without them"
        )
        progress.attempt(names, functools.partial(experiment.prepare, config), failure)


def _fetch(progress: Progress) -> None:
    """Get the networks' weights, each once."""
    users = defaultdict(list)
    for name, config in progress.left().items():
        for weight in needed_weights(config):
            users[weight].append(name)
    for weight, names in users.items():
        progress.attempt(names, functools.partial(_get, weight))


def _get(weight: str) -> int:
    weights.get(weight)
    return 0


def _extract(progress: Progress) -> None:
    def features(config: Config) -> str:
        return f"{config['data']['name']} {plain(config)['features']}"

    for names, config in _grouped(progress, features):
        fields = config["features"]
        pair = f"{fields['quality']} and {fields['semantic']}"
        console.print(f"{config['data']['name']}: {pair}", highlight=False, markup=False)
        failure = f"the extraction of {pair} failed on some videos: see its failures.csv"
        progress.attempt(names, functools.partial(experiment.extract, config), failure)


def _train(progress: Progress, names: Sequence[str]) -> None:
    begun: dict[str, train.Begun] = {}

    def begin(name: str) -> int:
        begun[name] = train.begin(progress.configs[name])
        return 0

    for name in names:
        if name not in progress.skipped:
            progress.attempt([name], functools.partial(begin, name))
    groups = defaultdict(list)
    for name, run in begun.items():
        groups[_shape(name, run)].append(name)
    for names in groups.values():
        console.print(f"train {', '.join(names)}", highlight=False, markup=False)
        try:
            train.train_as_one([begun[name] for name in names])
        except TerminatedError:
            raise
        except ERRORS:  # of one of them, or together they are too large: the others need not suffer
            for name in names:
                progress.attempt([name], functools.partial(_train_one, begun[name]))


def _train_one(run: train.Begun) -> int:
    train.train_as_one([run])
    return 0


def _shape(name: str, run: train.Begun) -> Any:
    """What runs must have in common to be one program."""
    config = run.config
    alone = name if config["splits"]["at_once"] else ""
    model = next(iter(run.models.values()))
    return config["data"]["name"], model, run.features.widths, run.settings, alone


def _grouped(progress: Progress, key: Callable[[Config], str]) -> list[tuple[list[str], Config]]:
    """The runs that are left, those of one key together, with the config of the first."""
    groups = defaultdict(list)
    for name, config in progress.left().items():
        groups[key(config)].append(name)
    return [(names, progress.configs[names[0]]) for names in groups.values()]


def _content(plan: Plan, runs: Progress, elsewhere: Progress) -> dict[str, Any]:
    """The table, as `side_by_side` shows it."""
    found = {
        (row, dataset): _measured(plan, runs, elsewhere, row, dataset)
        for row in plan.rows
        for dataset in plan.tested
    }
    measured = [each for each in found.values() if not isinstance(each, str)]
    seeds = {each["seeds"] for each in measured} or {1}
    numbers = {len(each["models"][each["model"]]["splits"]) // each["seeds"] for each in measured}
    rows = [
        {
            "row": name,
            "cells": {
                each: _cell(plan.run(row, each), found[row, each], each) for each in plan.tested
            },
        }
        for row, name in plan.rows.items()
    ]
    datasets = [
        _about(dataset, [found[row, dataset] for row in plan.rows]) for dataset in plan.tested
    ]
    return {
        "table": plan.number,
        "title": plan.title,
        "metrics": METRICS,
        "number_of_splits": numbers.pop() if len(numbers) == 1 else None,
        "seeds": seeds.pop() if len(seeds) == 1 else 1,
        "epoch_rule": ", ".join(sorted({each["epoch_rule"] for each in measured})) or "–",
        "datasets": datasets,
        "rows": rows,
        "weighted_average": {} if plan.number == 3 else _averages(rows, datasets),
        "notes": plan.notes,
    }


def _measured(
    plan: Plan, runs: Progress, elsewhere: Progress, row: str, dataset: str
) -> dict[str, Any] | str:
    """What a row's run has on a data set, its own test parts or another set; or why there is nothing."""
    name = plan.run(row, dataset)["name"]
    if problem := runs.skipped.get(name) or elsewhere.skipped.get(_on(name, dataset)):
        return problem
    try:
        return evaluate.cross_evaluate(Path("runs") / name, dataset)
    except ERRORS as error:
        return str(error)


def _cell(run: Config, found: dict[str, Any] | str, dataset: str) -> dict[str, Any]:
    if isinstance(found, str):
        return {"skipped": found}
    model = found["models"][found["model"]]
    cell = {
        "run": str(Path("runs") / run["name"]),
        "summary": model["summary"],
        "interval": model["interval"],
        "remarks": protocol.remarks(found),
    }
    trained = run["data"]["name"]
    return cell if dataset == trained else {**cell, "trained_on": index.about(trained).title}


def _averages(
    rows: Sequence[Mapping[str, Any]], datasets: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, float]]:
    """Over data sets, by their videos, of each row that has all of two or more."""
    videos = {each["name"]: each["videos"] for each in datasets}
    averages = {}
    for row in rows:
        cells = row["cells"]
        if len(cells) > 1 and not any("skipped" in cell for cell in cells.values()):
            averages[row["row"]] = {
                metric: protocol.weighted_average(
                    {name: cell["summary"][metric]["median"] for name, cell in cells.items()},
                    videos,
                )
                for metric in METRICS
            }
    return averages


def _about(dataset: str, found: Sequence[dict[str, Any] | str]) -> dict[str, Any]:
    """A data set as the rows have it; without videos if none of them has it."""
    about = index.about(dataset)
    here = [each["data"] for each in found if not isinstance(each, str)]
    return {
        "name": dataset,
        "title": about.title,
        "videos": max((data["videos"] for data in here), default=0),
        "label": about.label,
        "note": here[0]["note"] if here else about.note,
    }
