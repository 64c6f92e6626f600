"""`a2inet evaluate`: metrics of a run's model and its baselines, and of runs on other data sets."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from a2inet_jax.build import on
from a2inet_jax.config import Experiment
from a2inet_jax.console import console, progress, say
from a2inet_jax.datasets import registry
from a2inet_jax.errors import A2INetError
from a2inet_jax.evaluation.protocol import EvaluatedDataset
from a2inet_jax.pipeline.extract import extract
from a2inet_jax.pipeline.run_results import check_trained, compare_runs, described, measure, same
from a2inet_jax.report import make_table, writers
from a2inet_jax.report.table import ResultsTable, RunResults
from a2inet_jax.run import RunFolder

T = TypeVar("T")


class Cell(NamedTuple):
    """A run, and the name of a data set that it is tested on."""

    run: RunFolder
    dataset: str

    def __str__(self) -> str:
        return f"{self.run.path} on {self.dataset}"

    def is_own(self) -> bool:
        """Return whether the run was trained on the data set."""
        return same(self.dataset, self.run.config().data.name)

    def extract(self) -> int:
        """Extract the features that the data set lacks for the run; return 1 if videos fail."""
        return 0 if self.is_own() else extract(on(self.run.config(), self.dataset))

    def measure(self) -> RunResults:
        """Return the run's results on the data set."""
        return RunResults(self.run.path, measure(self.run, self.dataset))


def evaluate(config: Experiment) -> int:
    """Measure the model and the baselines on the test subsets: metrics.json, and a table on the screen."""
    run = RunFolder.existing(config)
    with progress("evaluate") as advance:
        advance(run.path.name, 0, 1)
        results = measure(run)
    _show(make_table.of_models(RunResults(run.path, results)))
    return 0


def evaluate_runs(runs: Sequence[Path], datasets: Sequence[str]) -> int:
    """Show runs beside each other; features that a data set lacks for a run are extracted first.

    Each is tested on all data sets named, or on its own if there are none.

    Returns:
        The exit code: 1 if something cannot be extracted or measured; the reason and the rest are shown.

    Raises:
        DataError: There is no data set of such a name.
    """
    for name in datasets:
        registry.info(name)
    folders = [RunFolder(path) for path in {path.resolve(): path for path in runs}.values()]
    cells = [_attempt(run.path, functools.partial(_cells, run, datasets)) for run in folders]
    wanted = [cell for some in cells for cell in some or ()]
    extracted = {cell: _attempt(cell, cell.extract) for cell in wanted}
    ready = [cell for cell, code in extracted.items() if code is not None]
    found: dict[Cell, RunResults] = {}
    with progress("evaluate") as advance:
        for done, cell in enumerate(ready):
            advance(str(cell), done, len(ready))
            if outcome := _attempt(cell, cell.measure):
                found[cell] = outcome
        advance("", len(ready), len(ready))
    if found:
        _show(_side_by_side(found))
    return int(None in cells or len(found) < len(wanted) or any(extracted.values()))


def _cells(run: RunFolder, datasets: Sequence[str]) -> list[Cell]:
    """The run on each data set, or on its own; a data set named in two ways counts once."""
    check_trained(run)  # before features are extracted for it
    names = datasets or [run.config().data.name]
    return [
        Cell(run, name) for name in {registry.unique_slug(name): name for name in names}.values()
    ]


def _attempt(what: object, step: Callable[[], T]) -> T | None:
    """The step's result; None if it fails, which is printed and does not stop the others."""
    try:
        return step()
    except (A2INetError, OSError) as error:
        said = str(error)
        say(said if said.startswith(str(what)) else f"{what}: {said}", "red")
        return None


def _side_by_side(found: dict[Cell, RunResults]) -> ResultsTable:
    """The runs beside each other, and comparisons of those that are measured on their own data sets."""
    runs = list(dict.fromkeys(cell.run for cell in found))
    unique = make_table.run_names([(run.path, run.config().name) for run in runs])
    names = dict(zip(runs, unique, strict=True))
    rows: dict[str, dict[str, RunResults | str]] = {name: {} for name in unique}
    datasets: dict[str, EvaluatedDataset] = {}
    for cell, outcome in found.items():
        column = registry.unique_slug(cell.dataset)
        rows[names[cell.run]][column] = outcome
        datasets.setdefault(column, described(cell.dataset))
    title = f"{len(rows)} runs" if len(rows) > 1 else unique[0]
    own = {cell.run: names[cell.run] for cell in found if cell.is_own()}
    comparisons = compare_runs(own)
    return make_table.from_rows(title, rows, datasets, comparisons=comparisons)


def _show(results: ResultsTable) -> None:
    console.print(writers.terminal(results, console.width))
