"""Results tables of the models of a run, of several runs on data sets, and of rows of the paper's tables."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from a2inet_jax.evaluation import protocol
from a2inet_jax.evaluation.protocol import METRIC_TITLES, EvaluatedDataset
from a2inet_jax.report.run_files import Run
from a2inet_jax.report.table import Cell, ResultsTable, Row, RunResults

PaperRow = tuple[int, str]  # number of the paper's table, and its name of the row
_PAPER_METRICS = ("plcc", "srcc")


def of_models(run_results: RunResults) -> ResultsTable:
    """Return a table of the run's model and its baselines."""
    results = run_results.results
    data = EvaluatedDataset(**results["data"])
    # The remarks name the models and stand once, among the notes.
    cells = {
        model: replace(Cell.of(run_results, model), remarks=[])
        for model in protocol.ordered_models(results)
    }
    return ResultsTable(
        f"{protocol.model_title(results['model'])} and its baselines",
        list(METRIC_TITLES),
        {data.name: data},
        [Row(protocol.model_title(model), {data.name: cell}) for model, cell in cells.items()],
        notes=protocol.remarks(results),
        comparisons=protocol.comparison_lines(results),
    )


def of_paper(run_results: RunResults, row: PaperRow) -> ResultsTable:
    """Return a table of the run's model as the row of the paper that has its settings."""
    number, name = row
    data = EvaluatedDataset(**run_results.results["data"])
    rows = {name: {data.name: run_results}}
    return from_rows(f"Table {number}: {name}", rows, {data.name: data}, number)


def of_runs(runs: Sequence[Run], comparisons: Sequence[str] = ()) -> ResultsTable:
    """Return a table of runs on all data sets that they were tested on, with sentences that compare them."""
    by_name = dict(zip(run_names([(run.path, run.name) for run in runs]), runs, strict=True))
    tested = {
        name: [RunResults(run.path, each) for each in (run.results, *run.cross_results)]
        for name, run in by_name.items()
    }
    outdated = [f"{name}: {text}" for name, run in by_name.items() for text in run.outdated]
    notes = [*_differences(by_name), *outdated]
    return _of_results(f"{len(runs)} runs", tested, notes, comparisons)


def of_cross_results(run: Run) -> ResultsTable | None:
    """Return a table of a run on data sets that it was not trained on; None if there are none."""
    found = [RunResults(run.path, each) for each in run.cross_results]
    return _of_results(f"{run.name} on other data sets", {run.name: found}) if found else None


def from_rows(
    title: str,
    rows: Mapping[str, Mapping[str, RunResults | str]],
    datasets: Mapping[str, EvaluatedDataset],
    number: int | None = None,
    notes: Sequence[str] = (),
    comparisons: Sequence[str] = (),
) -> ResultsTable:
    """Return a table of these rows.

    Args:
        title: As the arguments that follow `datasets`, an attribute of `ResultsTable`.
        rows: For each row and data set, the results of a run, or the reason why there are none; a missing
            data set leaves the cell empty.
        datasets: The columns. Numbers of videos and notes are those of the runs, if there are runs.
    """
    metrics = list(METRIC_TITLES) if len(datasets) == 1 else ["srcc", "plcc"]
    tested = {
        key: _dataset(data, [row[key] for row in rows.values() if key in row])
        for key, data in datasets.items()
    }
    cells = {
        row: {key: each if isinstance(each, str) else Cell.of(each) for key, each in found.items()}
        for row, found in rows.items()
    }
    return ResultsTable(
        title,
        list(_PAPER_METRICS) if number else metrics,
        tested,
        [Row(row, found) for row, found in cells.items()],
        number,
        list(notes),
        list(comparisons),
    )


def run_names(runs: Sequence[tuple[Path, str]]) -> list[str]:
    """Return distinct names of runs, given by folder and name: the folders if two have the same name."""
    found = [name for _, name in runs]
    return found if len(set(found)) == len(found) else [str(folder) for folder, _ in runs]


def _of_results(
    title: str,
    rows: Mapping[str, Sequence[RunResults]],
    notes: Sequence[str] = (),
    comparisons: Sequence[str] = (),
) -> ResultsTable:
    """Return a table of rows with a column for each data set that they were tested on."""
    cells = {row: {r.results["data"]["name"]: r for r in each} for row, each in rows.items()}
    datasets = {
        name: EvaluatedDataset(**each.results["data"])
        for row in cells.values()
        for name, each in row.items()
    }
    return from_rows(title, cells, datasets, notes=notes, comparisons=comparisons)


def _dataset(data: EvaluatedDataset, cells: Sequence[RunResults | str]) -> EvaluatedDataset:
    """Return a data set as the runs that were tested on it have it."""
    here = [each.results["data"] for each in cells if isinstance(each, RunResults)]
    notes = dict.fromkeys(each["note"] for each in here) if here else [data.note]
    videos = max((each["videos"] for each in here), default=0)
    return replace(data, videos=videos, note=" ".join(filter(None, notes)))


def _differences(runs: Mapping[str, Run]) -> list[str]:
    """Return a warning for each data set whose runs differ in their splits or labels."""
    # Data set → hash → names of runs.
    splits: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    labels: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, run in runs.items():
        splits[run.dataset][run.hashes["splits.json"]].append(name)
        labels[run.dataset][run.labels].append(name)
        for results in run.cross_results:
            labels[results["data"]["name"]][results["inputs"]["labels"]].append(name)
    return [
        f"{dataset}: these runs have different {difference}: "
        + "; ".join(", ".join(group) for group in groups.values())
        for difference, found in (
            ("splits, so part of their difference may come from the test videos", splits),
            ("labels or contents, so part of their difference may come from these", labels),
        )
        for dataset, groups in found.items()
        if len(groups) > 1
    ]
