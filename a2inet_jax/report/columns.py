"""What stands beside what: our numbers, their intervals and the paper's, by row, data set and metric.

A sheet is plain values, as they stand in `table.json`; `sheets` makes it:

    table              number of the paper's table, or null
    title              such as "Table 4: Features"
    metrics            such as ["plcc", "srcc"]
    datasets           [{"name", "title", "videos", "label", "note"}, …]
    rows               [{"row", "cells": {data set's name: cell}}, …]; with a table, row is the paper's name
    weighted_average   {row: {metric: value}} over data sets, by their videos
    notes              more that a reader must know
    comparisons        rows against each other: what a paired test says, in sentences

A cell is {"run", "splits", "seeds", "epoch_rule", "summary", "interval", "remarks"}, with "model" where rows
are runs, and with "trained_on" if that is another data set; or it is {"skipped": reason}.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from a2inet_jax.evaluation import protocol
from a2inet_jax.report import paper

EPOCHS = {
    "last": "last",
    "best_val": "best_val, the best on the validation part",
    "best_test": "best_test, the best on the test part itself, so the numbers are optimistic",
}
ResultsTable = Mapping[str, Any]
_PAPER_DIGITS = 4


@dataclass(frozen=True)
class Cell:
    """One metric of one row on one data set.

    Attributes:
        ours: median over the splits.
        bounds: ends of its 95 % interval.
        std: standard deviation over the splits.
        paper: the paper's number.
        run: folder of the run.
        skipped: why there is no number of ours.
        epoch_rule: which epoch of the run is reported.
        splits: that the median is over.
        trained_on: title of the run's data set.
    """

    ours: float | None = None
    bounds: Sequence[float] | None = None
    std: float | None = None
    paper: float | None = None
    run: str = ""
    skipped: str = ""
    epoch_rule: str = ""
    splits: int | None = None
    trained_on: str = ""


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
    def beside_paper(self) -> bool:
        """Whether the paper has a number of it."""
        return any(cell.paper is not None for cell in self.cells)

    @property
    def ours(self) -> list[str]:
        """Our numbers as printed; a dash where there is none."""
        return [protocol.shown(cell.ours, self.metric) for cell in self.cells]

    @property
    def paper(self) -> list[str]:
        """The paper's numbers as printed, with its four digits."""
        return [
            "–" if cell.paper is None else f"{cell.paper:.{_PAPER_DIGITS}f}" for cell in self.cells
        ]

    @property
    def interval(self) -> list[str]:
        """The ends of the 95 % intervals as printed; empty where there is none."""
        return [
            protocol.interval(cell.bounds, self.metric, cell.ours) if cell.bounds else ""
            for cell in self.cells
        ]

    @property
    def spread(self) -> list[str]:
        """The standard deviations as printed; empty where there is none."""
        return [
            "" if cell.std is None else protocol.shown(cell.std, self.metric, cell.ours)
            for cell in self.cells
        ]

    @property
    def best(self) -> list[bool]:
        """Which of our numbers are the best as printed, all of them when they tie."""
        return self._best([cell.ours for cell in self.cells])

    @property
    def best_paper(self) -> list[bool]:
        """Which of the paper's numbers are the best."""
        return self._best([cell.paper for cell in self.cells], _PAPER_DIGITS)

    def _best(self, values: Sequence[float | None], digits: int | None = None) -> list[bool]:
        rounded = [
            None
            if value is None
            else round(value, protocol.digits(self.metric, value) if digits is None else digits)
            for value in values
        ]
        known = [value for value in rounded if value is not None]
        if len(known) < 2:
            return [False] * len(values)
        top = min(known) if self.metric == "rmse" else max(known)
        return [value == top for value in rounded]


def columns(sheet: ResultsTable) -> list[Column]:
    """Every metric on every data set of ours, and of the weighted average where there is one."""
    found = [
        Column(
            dataset["title"],
            metric,
            tuple(_cell(sheet, r, dataset, metric) for r in sheet["rows"]),
        )
        for dataset in sheet["datasets"]
        for metric in sheet["metrics"]
    ]
    averages, table = sheet["weighted_average"], sheet["table"]
    if averages:
        ours = {paper_column(sheet, dataset) for dataset in sheet["datasets"]}
        whole = table and ours == set(paper.datasets(table))
        for metric in sheet["metrics"]:
            cells = (
                Cell(
                    ours=averages.get(r["row"], {}).get(metric),
                    epoch_rule=_rules(r) if r["row"] in averages else "",
                    paper=paper.number(table, paper.WEIGHTED_AVERAGE, r["row"], metric)
                    if whole
                    else None,
                )
                for r in sheet["rows"]
            )
            found.append(Column(paper.WEIGHTED_AVERAGE, metric, tuple(cells)))
    return found


def other_columns(sheet: ResultsTable) -> list[Column]:
    """The paper's numbers on data sets that we have none of, if we have some on one that it has not.

    They show the order of the rows; the values are of other videos.
    """
    ours = [paper_column(sheet, dataset) for dataset in sheet["datasets"]]
    if not sheet["table"] or None not in ours:
        return []
    found = [
        Column(
            dataset,
            metric,
            tuple(
                Cell(paper=paper.number(sheet["table"], dataset, r["row"], metric))
                for r in sheet["rows"]
            ),
        )
        for dataset in paper.datasets(sheet["table"])
        if dataset not in ours
        for metric in sheet["metrics"]
    ]
    return [column for column in found if column.beside_paper]


def notes(sheet: ResultsTable) -> list[str]:
    """What a reader of the numbers must know, in sentences; what was skipped comes last."""
    found = []
    if over := _by_row(sheet, _trainings):
        rule = _by_row(sheet, lambda cell: EPOCHS.get(cell["epoch_rule"], cell["epoch_rule"]))
        found.append(f"Medians over {over}. Epoch: {rule}.")
    if not sheet["table"] and (models := _by_row(sheet, lambda cell: cell.get("model", ""))):
        found.append(f"Model: {models}.")
    if any(text for column in columns(sheet) for text in column.interval):
        found.append(
            "Ranges are 95 % intervals of the median, for the same models on other contents."
        )
    if {"plcc", "rmse"} & set(sheet["metrics"]):
        found.append(f"{_mapped(sheet['metrics'])} after the four-parameter logistic.")
    for dataset in sheet["datasets"]:
        videos = f"{dataset['videos']} videos, " if dataset["videos"] else ""
        said = f"{dataset['title']}: {videos}labels: {dataset['label']}. {dataset['note']}"
        found.append(said.rstrip())
    if sheet["weighted_average"]:
        average = paper.WEIGHTED_AVERAGE
        found.append(f"{average}: average over the data sets, weighted by their videos.")
    if any(column.beside_paper for column in columns(sheet)):
        found.append("The paper's numbers are of splits of its own.")
    found += sheet["notes"]
    return list(dict.fromkeys([*found, *_cell_notes(sheet)]))


def _cell(
    sheet: ResultsTable, row: Mapping[str, Any], dataset: Mapping[str, Any], metric: str
) -> Cell:
    place = paper_column(sheet, dataset)
    theirs = paper.number(sheet["table"], place, row["row"], metric) if place else None
    cell = row["cells"].get(dataset["name"], {"skipped": ""})
    if "skipped" in cell:
        return Cell(paper=theirs, skipped=cell["skipped"])
    summary = cell["summary"][metric]
    return Cell(
        ours=summary["median"],
        bounds=cell["interval"][metric],
        std=summary["std"],
        paper=theirs,
        run=cell["run"],
        epoch_rule=_rule(cell),
        splits=cell["splits"],
        trained_on=cell.get("trained_on", dataset["title"]),
    )


def _rule(cell: Mapping[str, Any]) -> str:
    """The epoch rule as files have it: one that flatters says so."""
    rule: str = cell["epoch_rule"]
    return f"{rule} (optimistic)" if rule == "best_test" else rule


def _rules(row: Mapping[str, Any]) -> str:
    """The epoch rules of a row's cells, which may be of several runs."""
    return ", ".join(
        dict.fromkeys(_rule(cell) for cell in row["cells"].values() if "skipped" not in cell)
    )


def paper_column(sheet: ResultsTable, dataset: Mapping[str, Any]) -> str | None:
    """What the paper calls a data set in the sheet's table; None where that does not have it."""
    table = sheet["table"]
    # Table 3 is of models that LSVQ has trained; the first data set is the one to train on.
    if table is None or (table == 3 and sheet["datasets"][0]["title"] != "LSVQ"):
        return None
    return paper.column(table, dataset["title"])


def _trainings(cell: Mapping[str, Any]) -> str:
    return protocol.trainings(cell["splits"] * cell["seeds"], cell["seeds"])


def _by_row(sheet: ResultsTable, say: Callable[[Mapping[str, Any]], str]) -> str:
    """What the cells say: once if all say the same, else with the rows that say it; empty without cells."""
    said: dict[str, dict[str, None]] = {}
    for row in sheet["rows"]:
        for cell in row["cells"].values():
            if "skipped" not in cell:
                said.setdefault(say(cell), {})[row["row"]] = None
    if len(said) < 2:
        return "".join(said)
    return "; ".join(f"{text} ({', '.join(rows)})" for text, rows in said.items())


def _cell_notes(sheet: ResultsTable) -> list[str]:
    """Remarks of the cells, those that say the same taken together; then what was skipped."""
    said: dict[str, dict[str, list[str]]] = {}
    missing: dict[str, dict[str, list[str]]] = {}
    filled = 0
    for dataset in sheet["datasets"]:
        for row in sheet["rows"]:
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
