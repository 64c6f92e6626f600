"""What runs have shown, as sheets: the models of a run, runs on data sets, rows of the paper's tables."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from a2inet_jax.evaluation import protocol
from a2inet_jax.evaluation.protocol import METRICS, Data, Results
from a2inet_jax.report.columns import ResultsTable
from a2inet_jax.report.run_files import Run

_Groups = defaultdict[str, defaultdict[str, list[str]]]  # by data set: runs that are alike
PaperRow = tuple[int, str]  # the paper's table, and its name of the row
_PAPER = ["plcc", "srcc"]  # the metrics of the paper


class RunResults(NamedTuple):
    """What a run has shown on a data set.

    Attributes:
        run: its folder.
        results: on that data set.
    """

    run: Path
    results: Results


def of_models(outcome: RunResults) -> ResultsTable:
    """The run's model beside its baselines."""
    results = outcome.results
    data = Data(**results["data"])
    # The remarks name the models, so they are told of all together.
    rows = {
        protocol.title(model): {data.name: {**_cell(outcome, model), "remarks": []}}
        for model in protocol.models(results)
    }
    title = f"{protocol.title(results['model'])} and its baselines"
    described = [_described(data.name, data, [outcome])]
    notes, comparisons = protocol.remarks(results), protocol.comparisons(results)
    return _sheet(title, list(METRICS), described, rows, notes=notes, comparisons=comparisons)


def of_paper(outcome: RunResults, row: PaperRow) -> ResultsTable:
    """The run's model beside the row of the paper whose settings it has, which may be of other data."""
    table, name = row
    data = Data(**outcome.results["data"])
    rows = {name: {data.name: outcome}}
    return of_rows(f"Table {table}: {name}", rows, {data.name: data}, table)


def of_runs(runs: Sequence[Run], comparisons: Sequence[str] = ()) -> ResultsTable:
    """Runs beside each other on the data sets that they were tested on, with what a paired test says."""
    rows = {
        name: {
            results["data"]["name"]: RunResults(run.path, results)
            for results in (run.results, *run.crossed)
        }
        for run, name in zip(runs, _names(runs), strict=True)
    }
    datasets = {
        name: Data(**outcome.results["data"])
        for row in rows.values()
        for name, outcome in row.items()
    }
    left_out = [
        f"{name}: {text}"
        for run, name in zip(runs, _names(runs), strict=True)
        for text in run.left_out
    ]
    notes = [*_unlike(runs), *left_out]
    return of_rows(f"{len(runs)} runs", rows, datasets, notes=notes, comparisons=comparisons)


def of_crossed(run: Run) -> ResultsTable | None:
    """A run on the data sets that it was not trained on; None if it was tested on none."""
    if not run.crossed:
        return None
    found = {each["data"]["name"]: RunResults(run.path, each) for each in run.crossed}
    datasets = {name: Data(**outcome.results["data"]) for name, outcome in found.items()}
    return of_rows(f"{run.name} on other data sets", {run.name: found}, datasets)


def of_rows(
    title: str,
    rows: Mapping[str, Mapping[str, RunResults | str]],
    datasets: Mapping[str, Data],
    table: int | None = None,
    notes: Sequence[str] = (),
    comparisons: Sequence[str] = (),
) -> ResultsTable:
    """Rows below each other on data sets, with the weighted average of those that have all data sets.

    Args:
        title: of the sheet.
        rows: for each row's name, by the data set: what a run has shown, or why there is none; a data set
            that is not there is left empty.
        datasets: the columns; videos and notes are told as the runs have them, where there is a run.
        table: number of the paper's table; the rows have the paper's names then.
        notes: more that a reader must know.
        comparisons: what a paired test says of rows, in sentences.
    """
    cells = {
        row: {
            dataset: {"skipped": outcome} if isinstance(outcome, str) else _run_cell(outcome)
            for dataset, outcome in found.items()
        }
        for row, found in rows.items()
    }
    described = []
    for name, data in datasets.items():
        here = [row[name] for row in rows.values() if name in row]
        outcomes = [each for each in here if isinstance(each, RunResults)]
        described.append(_described(name, data, outcomes))
    metrics = list(METRICS) if len(datasets) == 1 else ["srcc", "plcc"]
    shown = _PAPER if table else metrics
    return _sheet(title, shown, described, cells, table, notes, comparisons)


def told_apart(sheet: ResultsTable, told: Sequence[str]) -> ResultsTable:
    """The sheet without the data sets' notes that a page tells in a place of their own."""
    datasets = [
        {**dataset, "note": "" if dataset["note"] in told else dataset["note"]}
        for dataset in sheet["datasets"]
    ]
    return {**sheet, "datasets": datasets}


def names(runs: Sequence[tuple[Path, str]]) -> list[str]:
    """What runs are called, by their folders and names: by the folders where two have one name."""
    found = [name for _, name in runs]
    return found if len(set(found)) == len(found) else [str(folder) for folder, _ in runs]


def _names(runs: Sequence[Run]) -> list[str]:
    return names([(run.path, run.name) for run in runs])


def _sheet(
    title: str,
    metrics: Sequence[str],
    datasets: Sequence[Mapping[str, Any]],
    rows: Mapping[str, Mapping[str, Mapping[str, Any]]],
    table: int | None = None,
    notes: Sequence[str] = (),
    comparisons: Sequence[str] = (),
) -> ResultsTable:
    # The paper has no average in Table 3.
    averages = {} if table == 3 else _averages(rows, datasets, metrics)
    return {
        "table": table,
        "title": title,
        "metrics": list(metrics),
        "datasets": list(datasets),
        "rows": [{"row": name, "cells": dict(cells)} for name, cells in rows.items()],
        "weighted_average": averages,
        "notes": list(notes),
        "comparisons": list(comparisons),
    }


def _cell(outcome: RunResults, model: str) -> dict[str, Any]:
    """The run's own model, or one of its baselines, on a data set."""
    results = outcome.results
    found = results["models"][model]
    cell = {
        "run": str(outcome.run),
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


def _run_cell(outcome: RunResults) -> dict[str, Any]:
    model = outcome.results["model"]
    return {"model": protocol.title(model), **_cell(outcome, model)}


def _described(name: str, data: Data, outcomes: Sequence[RunResults]) -> dict[str, Any]:
    """A data set as the runs have it; without videos if none of them has it."""
    here = [each.results["data"] for each in outcomes]
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
    """Over two data sets or more, by their videos, of each row that has all of them."""
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


def _unlike(runs: Sequence[Run]) -> list[str]:
    """A warning for each data set whose runs were not tested on the same videos, or by the same labels."""
    splits: _Groups = defaultdict(lambda: defaultdict(list))
    labels: _Groups = defaultdict(lambda: defaultdict(list))
    for run, name in zip(runs, _names(runs), strict=True):
        splits[run.dataset][run.hashes["splits.json"]].append(name)
        labels[run.dataset][run.labels].append(name)
        for results in run.crossed:
            labels[results["data"]["name"]][results["inputs"]["labels"]].append(name)
    return [
        f"{dataset}: these runs have different {what} too: "
        + "; ".join(", ".join(group) for group in groups.values())
        for what, found in (
            ("splits, so that their differences are of test videos", splits),
            ("labels or contents, so that their differences are of these", labels),
        )
        for dataset, groups in found.items()
        if len(groups) > 1
    ]
