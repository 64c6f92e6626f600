"""Results tables of the models of a run, of several runs on data sets, and of rows of the paper's tables."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from a2inet_jax.evaluation import protocol
from a2inet_jax.evaluation.protocol import METRIC_TITLES, EvaluatedDataset, Results
from a2inet_jax.report.columns import ResultsTable
from a2inet_jax.report.run_files import Run

_RunGroups = defaultdict[str, defaultdict[str, list[str]]]  # data set → digest → names of runs
PaperRow = tuple[int, str]  # number of the paper's table, and its name of the row
_PAPER_METRICS = ["plcc", "srcc"]


class RunResults(NamedTuple):
    """A run's results on a data set.

    Attributes:
        run: Folder of the run.
        results: Content of the metrics.json for that data set.
    """

    run: Path
    results: Results


def of_models(run_results: RunResults) -> ResultsTable:
    """Return a table of the run's model and its baselines."""
    results = run_results.results
    data = EvaluatedDataset(**results["data"])
    # The remarks name the models and stand once, among the notes.
    rows = {
        protocol.model_title(model): {data.name: {**_cell(run_results, model), "remarks": []}}
        for model in protocol.ordered_models(results)
    }
    return _table(
        f"{protocol.model_title(results['model'])} and its baselines",
        list(METRIC_TITLES),
        [_dataset(data.name, data, [run_results])],
        rows,
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
    """Return a table of runs on all data sets that they were tested on.

    Args:
        runs: The runs.
        comparisons: Paired comparisons of the runs, a sentence each.
    """
    run_names = _names(runs)
    rows = {
        name: {
            results["data"]["name"]: RunResults(run.path, results)
            for results in (run.results, *run.cross_results)
        }
        for run, name in zip(runs, run_names, strict=True)
    }
    datasets = {
        name: EvaluatedDataset(**run_results.results["data"])
        for row in rows.values()
        for name, run_results in row.items()
    }
    outdated = [
        f"{name}: {text}"
        for run, name in zip(runs, run_names, strict=True)
        for text in run.outdated
    ]
    notes = [*_differences(runs), *outdated]
    return from_rows(f"{len(runs)} runs", rows, datasets, notes=notes, comparisons=comparisons)


def of_cross_results(run: Run) -> ResultsTable | None:
    """Return a table of a run on data sets that it was not trained on; None if there are none."""
    if not run.cross_results:
        return None
    row = {each["data"]["name"]: RunResults(run.path, each) for each in run.cross_results}
    datasets = {name: EvaluatedDataset(**each.results["data"]) for name, each in row.items()}
    return from_rows(f"{run.name} on other data sets", {run.name: row}, datasets)


def from_rows(
    title: str,
    rows: Mapping[str, Mapping[str, RunResults | str]],
    datasets: Mapping[str, EvaluatedDataset],
    paper_table: int | None = None,
    notes: Sequence[str] = (),
    comparisons: Sequence[str] = (),
) -> ResultsTable:
    """Return a table of these rows, with the weighted average of those that have all data sets.

    Args:
        title: Title of the table.
        rows: For each row and data set, the results of a run, or the reason why there are none; a missing
            data set leaves the cell empty.
        datasets: The columns. Numbers of videos and notes are those of the runs, if there are runs.
        paper_table: Number of the paper's table, if the rows have its names.
        notes: Further texts for readers.
        comparisons: Paired comparisons of the rows, a sentence each.
    """
    cells = {
        row: {
            dataset: {"skipped": each} if isinstance(each, str) else _run_cell(each)
            for dataset, each in found.items()
        }
        for row, found in rows.items()
    }
    dataset_dicts = []
    for name, data in datasets.items():
        here = [row[name] for row in rows.values() if name in row]
        run_results = [each for each in here if isinstance(each, RunResults)]
        dataset_dicts.append(_dataset(name, data, run_results))
    metrics = list(METRIC_TITLES) if len(datasets) == 1 else ["srcc", "plcc"]
    if paper_table:
        metrics = _PAPER_METRICS
    return _table(title, metrics, dataset_dicts, cells, paper_table, notes, comparisons)


def without_notes(table: ResultsTable, shown: Sequence[str]) -> ResultsTable:
    """Return the table without those notes of data sets that are shown elsewhere on the page."""
    datasets = [
        {**dataset, "note": "" if dataset["note"] in shown else dataset["note"]}
        for dataset in table["datasets"]
    ]
    return {**table, "datasets": datasets}


def names(runs: Sequence[tuple[Path, str]]) -> list[str]:
    """Return distinct names of runs, given by folder and name: the folders if two have the same name."""
    found = [name for _, name in runs]
    return found if len(set(found)) == len(found) else [str(folder) for folder, _ in runs]


def _names(runs: Sequence[Run]) -> list[str]:
    return names([(run.path, run.name) for run in runs])


def _table(
    title: str,
    metrics: Sequence[str],
    datasets: Sequence[Mapping[str, Any]],
    rows: Mapping[str, Mapping[str, Mapping[str, Any]]],
    paper_table: int | None = None,
    notes: Sequence[str] = (),
    comparisons: Sequence[str] = (),
) -> ResultsTable:
    # The paper has no average in Table 3.
    averages = {} if paper_table == 3 else _averages(rows, datasets, metrics)
    return {
        "table": paper_table,
        "title": title,
        "metrics": list(metrics),
        "datasets": list(datasets),
        "rows": [{"row": name, "cells": dict(cells)} for name, cells in rows.items()],
        "weighted_average": averages,
        "notes": list(notes),
        "comparisons": list(comparisons),
    }


def _cell(run_results: RunResults, model: str) -> dict[str, Any]:
    """Return the cell of a run's own model, or of one of its baselines."""
    results = run_results.results
    found = results["models"][model]
    cell = {
        "run": str(run_results.run),
        "splits": len(found["splits"]) // results["seeds"],
        "seeds": results["seeds"],
        "epoch_rule": results["epoch_rule"],
        "summary": found["summary"],
        "interval": found["interval"],
        "remarks": protocol.remarks({**results, "models": {model: found}, "model": model}),
    }
    if "trained_on" in results:
        cell["trained_on"] = results["trained_on"]
    return cell


def _run_cell(run_results: RunResults) -> dict[str, Any]:
    model = run_results.results["model"]
    return {"model": protocol.model_title(model), **_cell(run_results, model)}


def _dataset(
    name: str, data: EvaluatedDataset, run_results: Sequence[RunResults]
) -> dict[str, Any]:
    """Return the table's entry for a data set as the runs have it; 0 videos if no run has it."""
    here = [each.results["data"] for each in run_results]
    notes = dict.fromkeys(each["note"] for each in here) if here else [data.note]
    return {
        "name": name,
        "title": data.name,
        "videos": max((each["videos"] for each in here), default=0),
        "label": data.label,
        "note": " ".join(filter(None, notes)),
    }


def _averages(
    rows: Mapping[str, Mapping[str, Mapping[str, Any]]],
    datasets: Sequence[Mapping[str, Any]],
    metrics: Sequence[str],
) -> dict[str, dict[str, float]]:
    """Return the weighted averages of the rows that have all data sets, if there are at least two."""
    videos = {each["name"]: each["videos"] for each in datasets}
    return {
        row: {
            metric: protocol.weighted_average(
                {name: cell["summary"][metric]["median"] for name, cell in cells.items()}, videos
            )
            for metric in metrics
        }
        for row, cells in rows.items()
        if len(videos) > 1 and not any("skipped" in cells.get(n, {"skipped": ""}) for n in videos)
    }


def _differences(runs: Sequence[Run]) -> list[str]:
    """Return a warning for each data set whose runs differ in their splits or labels."""
    splits: _RunGroups = defaultdict(lambda: defaultdict(list))
    labels: _RunGroups = defaultdict(lambda: defaultdict(list))
    for run, name in zip(runs, _names(runs), strict=True):
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
