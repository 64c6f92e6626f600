"""What runs say, as contents that `side_by_side` shows."""

from collections.abc import Mapping, Sequence
from typing import Any

from a2inet_jax.evaluation import protocol
from a2inet_jax.evaluation.protocol import METRICS
from a2inet_jax.report.columns import paper_column
from a2inet_jax.report.run_files import Run

PaperRow = tuple[int, str]  # the paper's table, and its name of the row


def of_models(run: Run) -> dict[str, Any]:
    """The run's model beside its baselines."""
    models = protocol.models(run.results)
    name = run.results["data"]["name"]
    rows = [
        {
            "row": protocol.title(model),
            "cells": {name: {**_cell(run, run.results, model), "remarks": []}},
        }
        for model in models
    ]
    title = f"{protocol.title(run.results['model'])} and its baselines"
    content = _content([run], title, list(METRICS), [run.results["data"]], rows)
    return content | {"notes": protocol.remarks(run.results)}


def of_paper(run: Run, row: PaperRow) -> dict[str, Any] | None:
    """The run's model beside the row of the paper whose settings it has; None if that is of other data."""
    table, name = row
    data = run.results["data"]
    rows = [{"row": name, "cells": {data["name"]: _cell(run, run.results, run.results["model"])}}]
    content = _content([run], f"Table {table}: {name}", ["plcc", "srcc"], [data], rows)
    content["table"] = table
    return content if paper_column(content, content["datasets"][0]) else None


def of_runs(runs: Sequence[Run]) -> dict[str, Any]:
    """Runs beside each other on the data sets that they were tested on."""
    datasets: dict[str, Any] = {}
    rows = []
    for run, name in zip(runs, names(runs), strict=True):
        cells = {}
        for results in [run.results, *run.crossed]:
            tested = results["data"]["name"]
            datasets.setdefault(tested, results["data"])
            cells[tested] = _cell(run, results, results["model"])
            if results is not run.results:
                cells[tested]["trained_on"] = run.dataset
        rows.append({"row": name, "cells": cells})
    metrics = list(METRICS) if len(datasets) == 1 else ["srcc", "plcc"]
    content = _content(runs, f"{len(runs)} runs", metrics, list(datasets.values()), rows)
    return content | {"notes": _unlike_splits(runs)}


def told_apart(content: Mapping[str, Any], told: Sequence[str]) -> dict[str, Any]:
    """The content without the data sets' notes that a page tells in a place of their own."""
    datasets = [
        {**dataset, "note": "" if dataset["note"] in told else dataset["note"]}
        for dataset in content["datasets"]
    ]
    return {**content, "datasets": datasets}


def names(runs: Sequence[Run]) -> list[str]:
    """The runs' names, or their folders where two have one name."""
    found = [run.name for run in runs]
    return found if len(set(found)) == len(found) else [str(run.path) for run in runs]


def _content(
    runs: Sequence[Run],
    title: str,
    metrics: list[str],
    datasets: Sequence[Mapping[str, Any]],
    rows: list[dict[str, Any]],
) -> dict[str, Any]:
    numbers = {(len(run.parts), run.results["seeds"]) for run in runs}
    splits, seeds = numbers.pop() if len(numbers) == 1 else (None, 1)
    return {
        "table": None,
        "title": title,
        "metrics": metrics,
        "number_of_splits": splits,
        "seeds": seeds,
        "epoch_rule": ", ".join(sorted({run.results["epoch_rule"] for run in runs})),
        "datasets": [
            {
                **{key: data[key] for key in ("name", "videos", "label", "note")},
                "title": data["name"],
            }
            for data in datasets
        ],
        "rows": rows,
        "weighted_average": {},
    }


def _cell(run: Run, results: Mapping[str, Any], model: str) -> dict[str, Any]:
    found = results["models"][model]
    return {
        "run": str(run.path),
        "summary": found["summary"],
        "interval": found["interval"],
        "remarks": protocol.remarks({**results, "models": {model: found}, "model": model}),
    }


def _unlike_splits(runs: Sequence[Run]) -> list[str]:
    """A warning for each data set whose runs were not tested on the same videos."""
    by_dataset: dict[str, dict[str, list[str]]] = {}
    for run, name in zip(runs, names(runs), strict=True):
        same = by_dataset.setdefault(run.dataset, {})
        same.setdefault(run.hashes["splits.json"], []).append(name)
    return [
        f"{dataset}: these runs have different splits, so that their differences are of test videos too: "
        + "; ".join(", ".join(group) for group in groups.values())
        for dataset, groups in by_dataset.items()
        if len(groups) > 1
    ]
