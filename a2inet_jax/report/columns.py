"""The columns of a results table: our numbers, their intervals and the paper's, by data set and metric.

A results table is plain values, as kept in `table.json`; `results_table` makes it:

    table              number of the paper's table, or null
    title              such as "Table 4: Features"
    metrics            such as ["plcc", "srcc"]
    datasets           [{"name", "title", "videos", "label", "note"}, …]
    rows               [{"row", "cells": {name of a data set: cell}}, …]; if table is a number, row is the
                       paper's name
    weighted_average   {row: {metric: value}}, over data sets by their numbers of videos
    notes              further texts for readers
    comparisons        paired comparisons of the rows, a sentence each

A cell is {"run", "splits", "seeds", "epoch_rule", "summary", "interval", "remarks"}, with "model" if rows
are runs, and with "trained_on" if that is another data set; or it is {"skipped": reason}.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from a2inet_jax.evaluation import protocol
from a2inet_jax.report import paper

EPOCH_RULES = {
    "last": "last",
    "best_val": "best_val, the best on the validation set",
    "best_test": "best_test, the best on the test set itself, so the numbers are optimistic",
}
OTHER_DATA = "Results of the paper on other data sets: compare the ranking, not the values"
ResultsTable = Mapping[str, Any]
_PAPER_DECIMALS = 4
_EMPTY = {"skipped": ""}


@dataclass(frozen=True)
class Cell:
    """One metric of one row on one data set.

    Attributes:
        ours: Median over the splits.
        bounds: Ends of its 95 % interval.
        std: Standard deviation over the splits.
        paper: The paper's number.
        run: Folder of the run.
        skipped: Why there is no number of ours.
        epoch_rule: Rule by which the run's epoch was chosen.
        splits: Number of splits.
        trained_on: Title of the data set that the run was trained on.
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
    """One metric on one data set, with a cell for each row.

    The lists of the properties have an entry for each row, too.
    """

    dataset: str
    metric: str
    cells: tuple[Cell, ...]

    @property
    def only_paper(self) -> bool:
        """True if all its numbers are the paper's."""
        return all(cell.ours is None and not cell.skipped for cell in self.cells)

    @property
    def has_paper(self) -> bool:
        """True if the paper has a number for it."""
        return any(cell.paper is not None for cell in self.cells)

    @property
    def ours(self) -> list[str]:
        """Our numbers as printed; dashes for missing ones."""
        return [protocol.format_value(cell.ours, self.metric) for cell in self.cells]

    @property
    def paper(self) -> list[str]:
        """The paper's numbers as printed, with its four decimals; dashes for missing ones."""
        return [
            "–" if cell.paper is None else f"{cell.paper:.{_PAPER_DECIMALS}f}"
            for cell in self.cells
        ]

    @property
    def interval(self) -> list[str]:
        """The 95 % intervals as printed; empty if missing."""
        return [
            protocol.format_interval(cell.bounds, self.metric, cell.ours) if cell.bounds else ""
            for cell in self.cells
        ]

    @property
    def std(self) -> list[str]:
        """The standard deviations as printed; empty if missing."""
        return [
            "" if cell.std is None else protocol.format_value(cell.std, self.metric, cell.ours)
            for cell in self.cells
        ]

    @property
    def best(self) -> list[bool]:
        """True for the best of our numbers as printed, several of them if they tie."""
        return self._best([cell.ours for cell in self.cells])

    @property
    def best_paper(self) -> list[bool]:
        """True for the best of the paper's numbers."""
        return self._best([cell.paper for cell in self.cells], _PAPER_DECIMALS)

    def _best(self, values: Sequence[float | None], decimals: int | None = None) -> list[bool]:
        rounded = [
            None
            if value is None
            else round(
                value,
                protocol.num_decimals(self.metric, value) if decimals is None else decimals,
            )
            for value in values
        ]
        known = [value for value in rounded if value is not None]
        if len(known) < 2:
            return [False] * len(values)
        best = min(known) if self.metric == "rmse" else max(known)
        return [value == best for value in rounded]


def columns(table: ResultsTable) -> list[Column]:
    """Return a column for each metric on each data set of ours, and on their weighted average if any."""
    found = [
        Column(
            dataset["title"],
            metric,
            tuple(_cell(table, row, dataset, metric) for row in table["rows"]),
        )
        for dataset in table["datasets"]
        for metric in table["metrics"]
    ]
    averages, number = table["weighted_average"], table["table"]
    if averages:
        # The paper's average is comparable only if it is over the same data sets.
        ours = {paper_dataset(table, dataset) for dataset in table["datasets"]}
        comparable = number and ours == set(paper.datasets(number))
        for metric in table["metrics"]:
            cells = (
                Cell(
                    ours=averages.get(row["row"], {}).get(metric),
                    epoch_rule=_epoch_rules(row) if row["row"] in averages else "",
                    paper=paper.value(number, paper.WEIGHTED_AVERAGE, row["row"], metric)
                    if comparable
                    else None,
                )
                for row in table["rows"]
            )
            found.append(Column(paper.WEIGHTED_AVERAGE, metric, tuple(cells)))
    return found


def other_columns(table: ResultsTable) -> list[Column]:
    """Return the paper's columns on data sets that we do not have, if we have one that the paper has not.

    They show the ranking of the rows; the values are for other videos.
    """
    ours = [paper_dataset(table, dataset) for dataset in table["datasets"]]
    if not table["table"] or None not in ours:
        return []
    found = [
        Column(
            dataset,
            metric,
            tuple(
                Cell(paper=paper.value(table["table"], dataset, row["row"], metric))
                for row in table["rows"]
            ),
        )
        for dataset in paper.datasets(table["table"])
        if dataset not in ours
        for metric in table["metrics"]
    ]
    return [column for column in found if column.has_paper]


def notes(table: ResultsTable) -> list[str]:
    """Return what a reader of the numbers must know, in sentences; skipped cells come last."""
    found = []
    if splits := _by_row(table, lambda cell: protocol.format_splits(cell["splits"], cell["seeds"])):
        rule = _by_row(table, lambda cell: EPOCH_RULES.get(cell["epoch_rule"], cell["epoch_rule"]))
        found.append(f"Medians over {splits}. Epoch: {rule}.")
    if not table["table"] and (models := _by_row(table, lambda cell: cell.get("model", ""))):
        found.append(f"Model: {models}.")
    if any(text for column in columns(table) for text in column.interval):
        found.append(
            "Ranges are 95 % intervals of the median, for the same trained models on other contents."
        )
    if mapped := [metric.upper() for metric in table["metrics"] if metric in ("plcc", "rmse")]:
        verb = "are" if len(mapped) > 1 else "is"
        found.append(f"{' and '.join(mapped)} {verb} computed after the four-parameter logistic.")
    for dataset in table["datasets"]:
        videos = f"{dataset['videos']} videos, " if dataset["videos"] else ""
        text = f"{dataset['title']}: {videos}labels: {dataset['label']}. {dataset['note']}"
        found.append(text.rstrip())
    if table["weighted_average"]:
        name = paper.WEIGHTED_AVERAGE
        found.append(f"{name}: average over the data sets, weighted by their numbers of videos.")
    if any(column.has_paper for column in columns(table)):
        found.append("The paper's numbers are for its own splits.")
    found += table["notes"]
    return list(dict.fromkeys([*found, *_cell_notes(table)]))


def paper_dataset(table: ResultsTable, dataset: Mapping[str, Any]) -> str | None:
    """Return the name of a data set in the paper's table; None if that table does not have it."""
    number = table["table"]
    # The models of Table 3 were trained on LSVQ. The first data set is the one to train on.
    if number is None or (number == 3 and table["datasets"][0]["title"] != "LSVQ"):
        return None
    return paper.dataset_name(number, dataset["title"])


def _cell(
    table: ResultsTable, row: Mapping[str, Any], dataset: Mapping[str, Any], metric: str
) -> Cell:
    name = paper_dataset(table, dataset)
    papers = paper.value(table["table"], name, row["row"], metric) if name else None
    cell = row["cells"].get(dataset["name"], _EMPTY)
    if "skipped" in cell:
        return Cell(paper=papers, skipped=cell["skipped"])
    summary = cell["summary"][metric]
    return Cell(
        ours=summary["median"],
        bounds=cell["interval"][metric],
        std=summary["std"],
        paper=papers,
        run=cell["run"],
        epoch_rule=_epoch_rule(cell),
        splits=cell["splits"],
        trained_on=cell.get("trained_on", dataset["title"]),
    )


def _epoch_rule(cell: Mapping[str, Any]) -> str:
    """Return the epoch rule as in CSV files, where an optimistic one is marked as such."""
    rule: str = cell["epoch_rule"]
    return f"{rule} (optimistic)" if rule == "best_test" else rule


def _epoch_rules(row: Mapping[str, Any]) -> str:
    """Return the epoch rules of a row's cells, which may come from several runs."""
    return ", ".join(
        dict.fromkeys(_epoch_rule(cell) for cell in row["cells"].values() if "skipped" not in cell)
    )


def _by_row(table: ResultsTable, text_of: Callable[[Mapping[str, Any]], str]) -> str:
    """Return the text of the cells: once if all have the same, else with the rows that have it.

    It is empty if there are no cells.
    """
    rows_by_text: dict[str, dict[str, None]] = {}
    for row in table["rows"]:
        for cell in row["cells"].values():
            if "skipped" not in cell:
                rows_by_text.setdefault(text_of(cell), {})[row["row"]] = None
    if len(rows_by_text) < 2:
        return "".join(rows_by_text)
    return "; ".join(f"{text} ({', '.join(rows)})" for text, rows in rows_by_text.items())


def _cell_notes(table: ResultsTable) -> list[str]:
    """Return the cells' remarks, with equal ones merged; then the reasons of skipped cells."""
    # Text → title of a data set → rows.
    remarks: dict[str, dict[str, list[str]]] = {}
    reasons: dict[str, dict[str, list[str]]] = {}
    num_filled = 0
    for dataset in table["datasets"]:
        for row in table["rows"]:
            cell = row["cells"].get(dataset["name"], _EMPTY)
            num_filled += "skipped" not in cell
            for found, texts in (
                (remarks, cell.get("remarks", [])),
                (reasons, [cell.get("skipped")]),
            ):
                for text in filter(None, texts):
                    rows_by_dataset = found.setdefault(text, {})
                    rows_by_dataset.setdefault(dataset["title"], []).append(row["row"])
    return [
        text if sum(map(len, rows.values())) == num_filled else f"{_rows_on_datasets(rows)}: {text}"
        for text, rows in remarks.items()
    ] + [f"– {_rows_on_datasets(rows)}: {text}" for text, rows in reasons.items()]


def _rows_on_datasets(rows_by_dataset: Mapping[str, Sequence[str]]) -> str:
    """Return text such as "a, b on KoNViD-1k, LIVE-VQC; b on CVD2014"."""
    datasets: dict[str, list[str]] = {}
    for dataset, rows in rows_by_dataset.items():
        datasets.setdefault(", ".join(rows), []).append(dataset)
    return "; ".join(f"{rows} on {', '.join(names)}" for rows, names in datasets.items())
