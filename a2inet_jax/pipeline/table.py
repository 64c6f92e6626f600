"""`a2inet table N`: the rows of a table of the paper, trained and tested on the data sets here.

What rows share is made once: equal experiments are one run, a network extracts a data set's features once,
and runs whose networks and features have equal shapes train as one program. Rows that cannot be made are
skipped, with the reason; the same command resumes where it stopped.
"""

import contextlib
import functools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax

from a2inet_jax.backbones import weights
from a2inet_jax.build import needed_weights, on
from a2inet_jax.config import Experiment
from a2inet_jax.console import console, say
from a2inet_jax.datasets import registry
from a2inet_jax.errors import A2INetError
from a2inet_jax.pipeline import extract, report, run_results, train
from a2inet_jax.pipeline.prepare import prepare
from a2inet_jax.pipeline.table_plan import Plan, make
from a2inet_jax.report import make_table, writers
from a2inet_jax.report.table import ResultsTable, RunResults
from a2inet_jax.run import RunFolder
from a2inet_jax.training.runtime import TerminatedError

# Errors of one run that need not stop the others: those for the user, and a device without enough memory.
ERRORS = (A2INetError, OSError, jax.errors.JaxRuntimeError)


@dataclass
class Attempts:
    """The outcome of each run so far.

    Attributes:
        configs: Runs by name.
        titles: Name of a run → its rows and data set.
        skipped: Name of a run → why it could not be made.
    """

    configs: Mapping[str, Experiment]
    titles: Mapping[str, str]
    skipped: dict[str, str] = field(default_factory=dict)

    def remaining(self) -> dict[str, Experiment]:
        """Return the runs that have not been skipped."""
        return {name: each for name, each in self.configs.items() if name not in self.skipped}

    def attempt(self, names: Sequence[str], step: Callable[[], object], failure: str = "") -> None:
        """Do a step that these runs need; they are skipped if it fails.

        Args:
            names: The runs.
            step: Fails by an error or, if there is a `failure`, by an exit code.
            failure: What an exit code means.
        """
        try:
            reason = failure if step() else ""
        except ERRORS as error:
            reason = str(error) or type(error).__name__
        if reason:
            for name in names:
                said = self.skipped.get(name, "")
                if reason not in said:
                    self.skipped[name] = f"{said}; {reason}" if said else reason
            say(f"skipped {', '.join(self.titles[name] for name in names)}: {reason}")


def table(number: int, datasets: Sequence[str], networks: str, overrides: Sequence[str]) -> int:
    """Make a table of the paper, and print it beside the paper's numbers.

    The arguments are those of `table_plan.make`.

    Returns:
        The exit code: 1 if a cell of the table is empty; 143 after SIGTERM.
    """
    plan = make(number, datasets, networks, overrides)
    todo = {name: config for name, config in plan.runs().items() if not _is_trained(config)}
    # Runs are also tested on data sets that they are not trained on, which takes features.
    elsewhere = {
        _on(name, dataset): on(config, dataset)
        for name, config in plan.runs().items()
        for dataset in plan.tested
        if dataset not in plan.trained
    }
    work = Attempts({**todo, **elsewhere}, _titles(plan))
    _prepare(work)
    _try_splits(work, list(todo))
    _fetch(work)
    _extract(work)
    try:
        _train(work, list(todo))
    except TerminatedError as stopped:
        return train.say_stopped(stopped)
    results = _results(plan, work.skipped)
    folder = Path("runs") / "tables" / plan.name
    writers.write(folder, results)
    console.print(writers.terminal(results, console.width))
    say(f"Report: {report.report_table(results, folder).resolve()}")
    return int(any(isinstance(cell, str) for row in results.rows for cell in row.cells.values()))


def _titles(plan: Plan) -> dict[str, str]:
    """The title of each run by its name, its rows and data set; and of each run on a tested data set."""
    rows: dict[str, list[str]] = defaultdict(list)
    trained: dict[str, str] = {}
    for (row, dataset), config in plan.configs.items():
        rows[config.name].append(plan.rows[row])
        trained[config.name] = registry.info(dataset).title
    titles = {name: f"{', '.join(rows[name])} on {trained[name]}" for name in rows}
    tested = {dataset: registry.info(dataset).title for dataset in plan.tested}
    return titles | {
        _on(name, dataset): f"{titles[name]}, tested on {title}"
        for name in titles
        for dataset, title in tested.items()
    }


def _on(name: str, dataset: str) -> str:
    return f"{name} on {dataset}"


def _is_trained(config: Experiment) -> bool:
    run = RunFolder.of(config)
    try:
        run.check(config)
    except FileNotFoundError:
        return False
    return (run.path / config.model.name / "predictions.csv").is_file()


def _prepare(work: Attempts) -> None:
    for names, config in _grouped(work.remaining(), lambda config: config.data.name):
        failure = (
            f"videos are missing: `a2inet data verify {config.data.name}` lists them, "
            "--config.data.allow_missing=True continues without them"
        )
        work.attempt(names, functools.partial(prepare, config.data), failure)


def _try_splits(work: Attempts, names: Sequence[str]) -> None:
    alone = {name: each for name, each in work.remaining().items() if name in names}
    for group, config in _grouped(alone, lambda each: (each.data, each.splits, each.seed)):
        work.attempt(group, functools.partial(train.try_splits, config))


def _fetch(work: Attempts) -> None:
    """Get the networks' weights, each once."""
    users = defaultdict(list)
    for name, config in work.remaining().items():
        for weight in needed_weights(config):
            users[weight].append(name)
    for weight, names in users.items():
        work.attempt(names, functools.partial(weights.get, weight))


def _extract(work: Attempts) -> None:
    for names, config in _grouped(
        work.remaining(), lambda each: (each.data.name, each.features, each.model.streams)
    ):
        pair = " and ".join(getattr(config.features, stream) for stream in config.model.streams)
        say(f"{registry.info(config.data.name).title}: {pair}")
        failure = f"the extraction of {pair} failed on some videos: see its failures.csv"
        work.attempt(names, functools.partial(extract.extract, config), failure)


def _train(work: Attempts, names: Sequence[str]) -> None:
    prepared: dict[str, train.PreparedRun] = {}

    def prepare_run(name: str, config: Experiment) -> None:
        prepared[name] = train.prepare_run(config)

    for name, config in work.remaining().items():
        if name in names:
            work.attempt([name], functools.partial(prepare_run, name, config))
    groups = defaultdict(list)
    for name, run in prepared.items():
        groups[_shape(name, run)].append(name)
    for names in groups.values():
        say(f"train {', '.join(work.titles[name] for name in names)}")
        try:
            _train_jointly([prepared[name] for name in names])
        except ERRORS:  # of one of them, or together they are too large: the others need not suffer
            for name in names:
                step = functools.partial(_train_jointly, [prepared[name]])
                work.attempt([name], step)


def _train_jointly(runs: Sequence[train.PreparedRun]) -> None:
    """Train runs side by side, and record with each how long all of them take."""
    with contextlib.ExitStack() as stack:
        for run in runs:
            stack.enter_context(run.folder.timed("training", resumes=True))
        train.train_jointly(runs)


def _shape(name: str, run: train.PreparedRun) -> Any:
    """The key of runs that can train as one program."""
    config = run.config
    alone = name if config.splits.concurrent_members else ""
    model = next(iter(run.models.values()))
    return config.data.name, model, run.features.widths, config.train, alone


def _grouped(
    configs: Mapping[str, Experiment], key: Callable[[Experiment], Any]
) -> list[tuple[list[str], Experiment]]:
    """The names of runs, those of one key together, with the config of the first."""
    groups = defaultdict(list)
    for name, config in configs.items():
        groups[key(config)].append(name)
    return [(names, configs[names[0]]) for names in groups.values()]


def _results(plan: Plan, skipped: Mapping[str, str]) -> ResultsTable:
    """The plan's rows with their results on its data sets."""
    rows: dict[str, dict[str, RunResults | str]] = {
        name: {each: _cell(plan, skipped, row, each) for each in plan.tested}
        for row, name in plan.rows.items()
    }
    datasets = {name: run_results.described(name) for name in plan.tested}
    measured = {
        RunFolder(found.run): row
        for row, cells in rows.items()
        for name, found in cells.items()
        if isinstance(found, RunResults) and name in plan.trained
    }
    comparisons = run_results.compare_runs(measured)
    return make_table.from_rows(plan.title, rows, datasets, plan.number, plan.notes, comparisons)


def _cell(plan: Plan, skipped: Mapping[str, str], row: str, dataset: str) -> RunResults | str:
    """A row's results on a data set, its own test subsets or another set; or why there are none."""
    name = plan.run(row, dataset).name
    if problem := skipped.get(name) or skipped.get(_on(name, dataset)):
        return problem
    run = Path("runs") / name
    try:
        return RunResults(run, run_results.measure(RunFolder(run), dataset))
    except ERRORS as error:
        return str(error) or type(error).__name__
