"""What stands beside what: our numbers, their intervals and the paper's, by row, data set and metric.

A content is plain values, as they stand in `table.json`:

    table              number of the paper's table, or null
    title              such as "Table 4: Features"
    metrics            such as ["plcc", "srcc"]
    number_of_splits   test parts that each median is over; null where the runs differ in it
    seeds              trainings of each split, if more than one
    epoch_rule         which epoch is reported
    datasets           [{"name", "title", "videos", "label", "note"}, …]
    rows               [{"row", "cells": {data set's name: cell}}, …]; with a table, row is the paper's name
    weighted_average   {row: {metric: value}} over data sets, by their videos
    notes              more that a reader must know

A cell is {"run", "summary", "interval", "trained_on", "remarks"}, the first two always, or
{"skipped": reason}.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from a2inet_jax.evaluation.protocol import trainings
from a2inet_jax.report import paper

EPOCHS = {
    "last": "last",
    "best_val": "best_val, the best on the validation part",
    "best_test": "best_test, the best on the test part itself, so the numbers are optimistic",
}
Content = Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """One metric of one row on one data set.

    Attributes:
        ours: median over the splits.
        low: lower end of its 95 % interval.
        high: upper end.
        std: standard deviation over the splits.
        paper: the paper's number.
        run: folder of the run.
        skipped: why there is no number of ours.
    """

    ours: float | None = None
    low: float | None = None
    high: float | None = None
    std: float | None = None
    paper: float | None = None
    run: str = ""
    skipped: str = ""


@dataclass(frozen=True)
class Column:
    """A metric on a data set: one cell a row."""

    dataset: str
    metric: str
    cells: tuple[Cell, ...]

    @property
    def only_paper(self) -> bool:
        """Whether it is of other data than ours."""
        return all(cell.ours is None and not cell.skipped for cell in self.cells)

    @property
    def ours(self) -> list[str]:
        """Our numbers as printed; a dash where there is none."""
        return [shown(cell.ours, self.metric) for cell in self.cells]

    @property
    def paper(self) -> list[str]:
        """The paper's numbers as printed, with its four digits."""
        return ["–" if cell.paper is None else f"{cell.paper:.4f}" for cell in self.cells]

    @property
    def interval(self) -> list[str]:
        """The ends of the 95 % intervals as printed; empty where there is none."""
        return [
            ""
            if cell.low is None or cell.high is None
            else f"{shown(cell.low, self.metric)}–{shown(cell.high, self.metric)}"
            for cell in self.cells
        ]

    def best(self, printed: Sequence[str]) -> list[bool]:
        """Which of `ours` or `paper` are the best, all of them when they tie."""
        values = [float(text) for text in printed if text != "–"]
        if len(values) < 2:
            return [False] * len(printed)
        top = min(values) if self.metric == "rmse" else max(values)
        return [text != "–" and float(text) == top for text in printed]


def shown(value: float | None, metric: str) -> str:
    """A number as printed: two digits of an RMSE, three of a correlation."""
    return "–" if value is None else f"{value:.{2 if metric == 'rmse' else 3}f}"


def columns(content: Content) -> list[Column]:
    """Every metric on every data set of ours, and of the weighted average where there is one."""
    found = [
        Column(
            dataset["title"],
            metric,
            tuple(_cell(content, r, dataset, metric) for r in content["rows"]),
        )
        for dataset in content["datasets"]
        for metric in content["metrics"]
    ]
    averages, table = content["weighted_average"], content["table"]
    if averages:
        ours = {paper_column(content, dataset) for dataset in content["datasets"]}
        whole = table and ours == set(paper.datasets(table))
        for metric in content["metrics"]:
            cells = (
                Cell(
                    ours=averages.get(r["row"], {}).get(metric),
                    paper=paper.number(table, paper.WEIGHTED_AVERAGE, r["row"], metric)
                    if whole
                    else None,
                )
                for r in content["rows"]
            )
            found.append(Column(paper.WEIGHTED_AVERAGE, metric, tuple(cells)))
    return found


def other_columns(content: Content) -> list[Column]:
    """The paper's numbers on data sets that we have none of, if we have some on one that it has not.

    They show the order of the rows; the values are of other videos.
    """
    ours = [paper_column(content, dataset) for dataset in content["datasets"]]
    if not content["table"] or None not in ours:
        return []
    found = [
        Column(
            dataset,
            metric,
            tuple(
                Cell(paper=paper.number(content["table"], dataset, r["row"], metric))
                for r in content["rows"]
            ),
        )
        for dataset in paper.datasets(content["table"])
        if dataset not in ours
        for metric in content["metrics"]
    ]
    return [column for column in found if any(cell.paper is not None for cell in column.cells)]


def notes(content: Content) -> list[str]:
    """What a reader of the numbers must know, in sentences; what was skipped comes last."""
    splits, seeds = content["number_of_splits"], content.get("seeds", 1)
    over = trainings(splits * seeds, seeds) if splits else "each run's splits"
    rule = content["epoch_rule"]
    found = [f"Medians over {over}. Epoch: {EPOCHS.get(rule, rule)}."]
    if any(text for column in columns(content) for text in column.interval):
        found.append("Ranges are 95 % intervals of the median.")
    if {"plcc", "rmse"} & set(content["metrics"]):
        found.append(f"{_mapped(content['metrics'])} after the four-parameter logistic.")
    for dataset in content["datasets"]:
        videos = f"{dataset['videos']} videos" if dataset["videos"] else "no videos here"
        said = f"{dataset['title']}: {videos}, labels: {dataset['label']}. {dataset['note']}"
        found.append(said.rstrip())
    if any(cell.paper is not None for column in columns(content) for cell in column.cells):
        found.append("The paper's numbers are of splits of its own.")
    found += content.get("notes", [])
    return list(dict.fromkeys([*found, *_cell_notes(content)]))


def _cell(
    content: Content, row: Mapping[str, Any], dataset: Mapping[str, Any], metric: str
) -> Cell:
    place = paper_column(content, dataset)
    theirs = paper.number(content["table"], place, row["row"], metric) if place else None
    cell = row["cells"].get(dataset["name"], {"skipped": ""})
    if "skipped" in cell:
        return Cell(paper=theirs, skipped=cell["skipped"])
    summary = cell["summary"][metric]
    low, high = cell.get("interval", {}).get(metric) or (None, None)
    return Cell(summary["median"], low, high, summary["std"], theirs, cell["run"])


def paper_column(content: Content, dataset: Mapping[str, Any]) -> str | None:
    """What the paper calls a data set in the content's table; None where that does not have it."""
    table = content["table"]
    # Table 3 is of models that LSVQ has trained; the first data set is the one to train on.
    if table is None or (table == 3 and content["datasets"][0]["title"] != "LSVQ"):
        return None
    return paper.column(table, dataset["title"])


def _cell_notes(content: Content) -> list[str]:
    """Remarks of the cells, those that say the same taken together; then what was skipped."""
    said: dict[str, dict[str, list[str]]] = {}
    missing: dict[str, dict[str, list[str]]] = {}
    filled = 0
    for dataset in content["datasets"]:
        for row in content["rows"]:
            cell = row["cells"].get(dataset["name"], {"skipped": ""})
            filled += "skipped" not in cell
            for found, texts in ((said, cell.get("remarks", [])), (missing, [cell.get("skipped")])):
                for text in filter(None, texts):
                    places = found.setdefault(text, {})
                    places.setdefault(dataset["title"], []).append(row["row"])
    return [
        text if sum(map(len, places.values())) == filled else f"{_places(places)}: {text}"
        for text, places in said.items()
    ] + [f"– {_places(places)}: {text}" for text, places in missing.items()]


def _places(places: Mapping[str, Sequence[str]]) -> str:
    """Data set → rows, in words: "a, b on KoNViD-1k, LIVE-VQC; b on CVD2014"."""
    datasets: dict[str, list[str]] = {}
    for dataset, rows in places.items():
        datasets.setdefault(", ".join(rows), []).append(dataset)
    return "; ".join(f"{rows} on {', '.join(names)}" for rows, names in datasets.items())


def _mapped(metrics: Sequence[str]) -> str:
    return " and ".join(metric.upper() for metric in metrics if metric in ("plcc", "rmse"))
