"""The columns of a results table as printed: our numbers, their intervals and the paper's; and its notes."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from a2inet_jax.evaluation import protocol
from a2inet_jax.report import paper
from a2inet_jax.report.table import Cell, ResultsTable, Row

EPOCH_RULES = {
    "last": "last",
    "best_val": "best_val, the best on the validation set",
    "best_test": "best_test, the best on the test set itself, so the numbers are optimistic",
}
OTHER_DATA = "Results of the paper on other data sets: compare the ranking, not the values"
COMPARISON_RULE = (
    "Better or worse: the 95 % interval of the difference, from a bootstrap over the contents, excludes 0. "
    "p is of a t-test over the splits, which asks another question, what other splits would have given; so "
    "the two can disagree."
)
_PAPER_DECIMALS = 4


@dataclass(frozen=True)
class Entry:
    """One metric of one row on one data set.

    Attributes:
        ours: Median over the splits.
        bounds: Ends of its 95 % interval.
        std: Standard deviation over the splits.
        paper: The paper's number.
        cell: The cell that it is of, the reason why there is none, or None for an average or a column that
            is only the paper's.
        epoch_rule: Rule by which the epoch was chosen, marked as such if it is optimistic.
    """

    ours: float | None = None
    bounds: Sequence[float] | None = None
    std: float | None = None
    paper: float | None = None
    cell: Cell | str | None = None
    epoch_rule: str = ""


@dataclass(frozen=True)
class Column:
    """One metric on one data set, with an entry for each row, as the lists of the properties have."""

    dataset: str
    metric: str
    entries: Sequence[Entry]

    @property
    def title(self) -> str:
        """Name of the metric, with an arrow towards better."""
        return protocol.METRIC_TITLES[self.metric]

    @property
    def only_paper(self) -> bool:
        """True if all its numbers are the paper's."""
        return all(each.ours is None and not each.cell for each in self.entries)

    @property
    def has_paper(self) -> bool:
        """True if the paper has a number for it."""
        return any(each.paper is not None for each in self.entries)

    @property
    def ours(self) -> list[str]:
        """Our numbers as printed; dashes for missing ones."""
        return [protocol.format_value(each.ours, self.metric) for each in self.entries]

    @property
    def paper(self) -> list[str]:
        """The paper's numbers as printed, with its four decimals; dashes for missing ones."""
        values = [each.paper for each in self.entries]
        return ["–" if value is None else f"{value:.{_PAPER_DECIMALS}f}" for value in values]

    @property
    def interval(self) -> list[str]:
        """The 95 % intervals as printed; empty if missing."""
        return [
            protocol.format_interval(each.bounds, self.metric, each.ours) if each.bounds else ""
            for each in self.entries
        ]

    @property
    def std(self) -> list[str]:
        """The standard deviations as printed; empty if missing."""
        return [
            "" if each.std is None else protocol.format_value(each.std, self.metric, each.ours)
            for each in self.entries
        ]

    @property
    def best(self) -> list[bool]:
        """True for the best of our numbers as printed, several of them if they tie."""
        return self._best([each.ours for each in self.entries])

    @property
    def best_paper(self) -> list[bool]:
        """True for the best of the paper's numbers."""
        return self._best([each.paper for each in self.entries], _PAPER_DECIMALS)

    def _best(self, values: Sequence[float | None], decimals: int | None = None) -> list[bool]:
        known = {
            i: round(v, protocol.num_decimals(self.metric, v) if decimals is None else decimals)
            for i, v in enumerate(values)
            if v is not None
        }
        if len(known) < 2:
            return [False] * len(values)
        best = (min if self.metric == "rmse" else max)(known.values())
        return [known.get(i) == best for i in range(len(values))]


def columns(table: ResultsTable) -> list[Column]:
    """Return a column for each metric on each data set of ours, and on their weighted average if any."""
    found = [
        Column(data.name, m, [_entry(table, row, key, m) for row in table.rows])
        for key, data in table.datasets.items()
        for m in table.metrics
    ]
    if not (averages := table.weighted_average):
        return found
    # The paper's average is comparable only if it is over the same data sets.
    ours = {paper_dataset(table, data.name) for data in table.datasets.values()}
    comparable = table.number and ours == set(paper.datasets(table.number))
    paper_name = paper.WEIGHTED_AVERAGE if comparable else None
    rules: dict[str, dict[str, None]] = defaultdict(dict)
    for row_name, _, cell in table.cells():
        rules[row_name][_epoch_rule(cell)] = None
    for metric in table.metrics:
        entries = [
            Entry(
                ours=averages.get(row.name, {}).get(metric),
                epoch_rule=", ".join(rules[row.name]) if row.name in averages else "",
                paper=_papers(table, paper_name, row.name, metric),
            )
            for row in table.rows
        ]
        found.append(Column(paper.WEIGHTED_AVERAGE, metric, entries))
    return found


def other_columns(table: ResultsTable) -> list[Column]:
    """Return the paper's columns on data sets that we do not have, if we have one that the paper has not.

    They show the ranking of the rows; the values are for other videos.
    """
    ours = [paper_dataset(table, data.name) for data in table.datasets.values()]
    if not table.number or None not in ours:
        return []
    names = [name for name in paper.datasets(table.number) if name not in ours]
    found = [
        Column(name, m, [Entry(paper=_papers(table, name, row.name, m)) for row in table.rows])
        for name in names
        for m in table.metrics
    ]
    return [column for column in found if column.has_paper]


def notes(table: ResultsTable) -> list[str]:
    """Return what a reader of the numbers must know, in sentences; skipped cells come last."""
    found = []
    if splits := _by_row(table, lambda cell: protocol.format_splits(cell.splits, cell.seeds)):
        rule = _by_row(table, lambda cell: EPOCH_RULES.get(cell.epoch_rule, cell.epoch_rule))
        found.append(f"Medians over {splits}. Epoch: {rule}.")
    if not table.number and (models := _by_row(table, lambda cell: cell.model)):
        found.append(f"Model: {models}.")
    all_columns = columns(table)
    if any(text for column in all_columns for text in column.interval):
        found.append(
            "Ranges are 95 % intervals of the median, for the same trained models on other contents."
        )
    if mapped := [metric.upper() for metric in table.metrics if metric in ("plcc", "rmse")]:
        verb = "are" if len(mapped) > 1 else "is"
        found.append(f"{' and '.join(mapped)} {verb} computed after the four-parameter logistic.")
    for data in table.datasets.values():
        videos = f"{data.videos} videos, " if data.videos else ""
        found.append(f"{data.name}: {videos}labels: {data.label}. {data.note}".rstrip())
    if table.weighted_average:
        name = paper.WEIGHTED_AVERAGE
        found.append(f"{name}: average over the data sets, weighted by their numbers of videos.")
    if any(column.has_paper for column in all_columns):
        found.append("The paper's numbers are for its own splits.")
    return list(dict.fromkeys([*found, *table.notes, *_cell_notes(table)]))


def paper_dataset(table: ResultsTable, title: str) -> str | None:
    """Return the name of a data set in the paper's table; None if that table does not have it."""
    # The models of Table 3 were trained on LSVQ. The first data set is the one to train on.
    trained_on = next(iter(table.datasets.values())).name
    if table.number is None or (table.number == 3 and trained_on != "LSVQ"):
        return None
    return paper.dataset_name(table.number, title)


def _entry(table: ResultsTable, row: Row, key: str, metric: str) -> Entry:
    cell = row.cells.get(key, "")
    name = paper_dataset(table, table.datasets[key].name)
    papers = _papers(table, name, row.name, metric)
    if isinstance(cell, str):
        return Entry(paper=papers, cell=cell)
    summary = cell.summary[metric]
    rule = _epoch_rule(cell)
    return Entry(summary["median"], cell.interval[metric], summary["std"], papers, cell, rule)


def _papers(table: ResultsTable, dataset: str | None, row: str, metric: str) -> float | None:
    """Return the paper's number; None if it has none."""
    return paper.value(table.number, dataset, row, metric) if table.number and dataset else None


def _epoch_rule(cell: Cell) -> str:
    return cell.epoch_rule + " (optimistic)" * (cell.epoch_rule == "best_test")


def _by_row(table: ResultsTable, text_of: Callable[[Cell], str]) -> str:
    """Return the text of the cells: once if all have the same, else with the rows that have it.

    It is empty if there are no cells.
    """
    rows_by_text: dict[str, dict[str, None]] = defaultdict(dict)
    for row, _, cell in table.cells():
        rows_by_text[text_of(cell)][row] = None
    if len(rows_by_text) < 2:
        return "".join(rows_by_text)
    return "; ".join(f"{text} ({', '.join(rows)})" for text, rows in rows_by_text.items())


def _cell_notes(table: ResultsTable) -> list[str]:
    """Return the cells' remarks, with equal ones merged; then the reasons of skipped cells."""
    # Text → title of a data set → rows.
    remarks: dict[str, dict[str, list[str]]] = {}
    reasons: dict[str, dict[str, list[str]]] = {}
    for key, data in table.datasets.items():
        for row in table.rows:
            cell = row.cells.get(key, "")
            found, texts = (reasons, [cell]) if isinstance(cell, str) else (remarks, cell.remarks)
            for text in filter(None, texts):
                found.setdefault(text, {}).setdefault(data.name, []).append(row.name)
    num_filled = len(list(table.cells()))
    return [
        text if sum(map(len, rows.values())) == num_filled else f"{_rows_on_datasets(rows)}: {text}"
        for text, rows in remarks.items()
    ] + [f"– {_rows_on_datasets(rows)}: {text}" for text, rows in reasons.items()]


def _rows_on_datasets(rows_by_dataset: dict[str, list[str]]) -> str:
    """Return text such as "a, b on KoNViD-1k, LIVE-VQC; b on CVD2014"."""
    datasets: dict[str, list[str]] = defaultdict(list)
    for dataset, rows in rows_by_dataset.items():
        datasets[", ".join(rows)].append(dataset)
    return "; ".join(f"{rows} on {', '.join(names)}" for rows, names in datasets.items())
