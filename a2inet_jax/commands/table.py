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
from a2inet_jax.build import Config, needed_weights, on, plain
from a2inet_jax.commands import experiment, report, run_comparison, run_results, train
from a2inet_jax.commands.table_plan import Plan, make
from a2inet_jax.config import Train
from a2inet_jax.console import console, say
from a2inet_jax.errors import A2INetError
from a2inet_jax.report import results_table, side_by_side
from a2inet_jax.report.columns import ResultsTable
from a2inet_jax.report.results_table import RunResults
from a2inet_jax.run import RunFolder
from a2inet_jax.training.termination import TerminatedError

ERRORS = (
    A2INetError,
    OSError,
    ValueError,
    RuntimeError,
    ArithmeticError,
)  # those that main tells in one line


@dataclass
class Attempts:
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

    def attempt(self, names: Sequence[str], step: Callable[[], object], failure: str = "") -> None:
        """Do what these runs need; they are skipped if it fails.

        Args:
          names: of the runs.
          step: fails by an error or, if there is a `failure`, by an exit code.
          failure: what an exit code means.
        """
        try:
            reason = failure if step() else ""
        except TerminatedError:
            raise
        except ERRORS as error:
            reason = str(error) or type(error).__name__
        if reason:
            for name in names:
                said = self.skipped.get(name, "")
                if reason not in said:
                    self.skipped[name] = f"{said}; {reason}" if said else reason
            say(f"skipped {', '.join(names)}: {reason}")


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
    for (
        config
    ) in plan.runs().values():  # what can't be trained is refused before hours go into features
        Train(**plain(config)["train"])
    runs, elsewhere = Attempts(plan.runs()), Attempts(_elsewhere(plan))
    todo = {name: config for name, config in runs.configs.items() if not _is_trained(config)}
    work = Attempts({**todo, **elsewhere.configs})
    _prepare(work)
    _try_splits(work, list(todo))
    _fetch(work)
    _extract(work)
    for each in (runs, elsewhere):
        each.skipped |= {k: v for k, v in work.skipped.items() if k in each.configs}
    try:
        _train(runs, list(todo))
    except TerminatedError as stopped:
        return train.say_stopped(stopped)
    sheet = _sheet(plan, runs, elsewhere)
    folder = Path("runs") / "tables" / plan.name
    side_by_side.write(folder, sheet)
    console.print(side_by_side.terminal(sheet, console.width))
    say(f"Report: {report.report_table(sheet, folder).resolve()}")
    cells = [cell for row in sheet["rows"] for cell in row["cells"].values()]
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


def _prepare(work: Attempts) -> None:
    for names, config in _grouped(work, lambda config: config["data"]["name"]):
        name = config["data"]["name"]
        failure = (
            f"videos are missing: `a2inet data verify {name}` lists them, "
            "--set=data.allow_missing=True goes on without them"
        )
        work.attempt(names, functools.partial(experiment.prepare, config), failure)


def _try_splits(work: Attempts, names: Sequence[str]) -> None:
    def splits(config: Config) -> str:
        fields = plain(config)
        return f"{fields['data']} {fields['splits']} {fields['seed']}"

    alone = Attempts({name: work.configs[name] for name in names if name not in work.skipped})
    for group, config in _grouped(alone, splits):
        work.attempt(group, functools.partial(experiment.try_splits, config))


def _fetch(work: Attempts) -> None:
    """Get the networks' weights, each once."""
    users = defaultdict(list)
    for name, config in work.left().items():
        for weight in needed_weights(config):
            users[weight].append(name)
    for weight, names in users.items():
        work.attempt(names, functools.partial(weights.get, weight))


def _extract(work: Attempts) -> None:
    def features(config: Config) -> str:
        return f"{config['data']['name']} {plain(config)['features']}"

    for names, config in _grouped(work, features):
        fields = config["features"]
        pair = f"{fields['quality']} and {fields['semantic']}"
        say(f"{config['data']['name']}: {pair}")
        failure = f"the extraction of {pair} failed on some videos: see its failures.csv"
        work.attempt(names, functools.partial(experiment.extract, config), failure)


def _train(work: Attempts, names: Sequence[str]) -> None:
    begun: dict[str, train.PreparedRun] = {}

    def begin(name: str) -> None:
        begun[name] = train.prepare_run(work.configs[name])

    for name in names:
        if name not in work.skipped:
            work.attempt([name], functools.partial(begin, name))
    groups = defaultdict(list)
    for name, run in begun.items():
        groups[_shape(name, run)].append(name)
    for names in groups.values():
        say(f"train {', '.join(names)}")
        try:
            train.train_as_one([begun[name] for name in names])
        except TerminatedError:
            raise
        except ERRORS:  # of one of them, or together they are too large: the others need not suffer
            for name in names:
                work.attempt([name], functools.partial(train.train_as_one, [begun[name]]))


def _shape(name: str, run: train.PreparedRun) -> Any:
    """What runs must have in common to be one program."""
    config = run.config
    alone = name if config["splits"]["at_once"] else ""
    model = next(iter(run.models.values()))
    return config["data"]["name"], model, run.features.widths, run.settings, alone


def _grouped(work: Attempts, key: Callable[[Config], str]) -> list[tuple[list[str], Config]]:
    """The runs that are left, those of one key together, with the config of the first."""
    groups = defaultdict(list)
    for name, config in work.left().items():
        groups[key(config)].append(name)
    return [(names, work.configs[names[0]]) for names in groups.values()]


def _sheet(plan: Plan, runs: Attempts, elsewhere: Attempts) -> ResultsTable:
    """The plan's rows with what was measured, on its data sets."""
    rows: dict[str, dict[str, RunResults | str]] = {
        name: {each: _outcome(plan, runs, elsewhere, row, each) for each in plan.tested}
        for row, name in plan.rows.items()
    }
    datasets = {name: run_results.described(name) for name in plan.tested}
    measured = {
        RunFolder(found.run): row
        for row, cells in rows.items()
        for name, found in cells.items()
        if isinstance(found, RunResults) and name in plan.trained
    }
    comparisons = run_comparison.compare(measured)
    return results_table.of_rows(plan.title, rows, datasets, plan.number, plan.notes, comparisons)


def _outcome(
    plan: Plan, runs: Attempts, elsewhere: Attempts, row: str, dataset: str
) -> RunResults | str:
    """What a row's run has on a data set, its own test parts or another set; or why there is nothing."""
    name = plan.run(row, dataset)["name"]
    if problem := runs.skipped.get(name) or elsewhere.skipped.get(_on(name, dataset)):
        return problem
    run = Path("runs") / name
    try:
        return RunResults(run, run_results.measure(RunFolder(run), dataset))
    except ERRORS as error:
        return str(error) or type(error).__name__
