"""Runs beside the rows of the paper that have their settings."""

from collections.abc import Sequence
from dataclasses import dataclass

from a2inet_jax.evaluation.protocol import METRICS
from a2inet_jax.report import markup, results_table
from a2inet_jax.report.columns import ResultsTable, columns, other_columns, paper_column
from a2inet_jax.report.results_table import PaperRow, RunResults
from a2inet_jax.report.run_files import Run
from a2inet_jax.report.side_by_side import OTHER_DATA

_METRICS, _WHOSE = ("plcc", "srcc"), ("here", "in the paper")


@dataclass(frozen=True)
class Row:
    """A row of the paper that has a run's settings; data set, networks and training may be others.

    Attributes:
        run: the run.
        row: of the paper.
        name: what the run is called, where there are several.
    """

    run: Run
    row: PaperRow
    name: str = ""

    @property
    def sheet(self) -> ResultsTable:
        """Our numbers and the paper's."""
        return results_table.of_paper(RunResults(self.run.path, self.run.results), self.row)

    @property
    def title(self) -> str:
        """Table and row, behind the run's name where there are several."""
        title: str = self.sheet["title"]
        return f"{self.name} · {title}" if self.name else title


def to_html(rows: Sequence[Row]) -> str:
    """The paper's numbers on a run's own data set beside the run's; and those on others, apart."""
    if not rows:
        return ""
    same: list[Row] = []
    other: list[Row] = []
    for each in rows:
        sheet = each.sheet
        if paper_column(sheet, sheet["datasets"][0]):
            same.append(each)
        elif sheet["table"] != 3:  # its numbers are of models that LSVQ trained
            other.append(each)
    streams = ("quality", "semantic")
    networks = dict.fromkeys(
        " and ".join(each.run.config["features"][name] for name in streams) for each in rows
    )
    note = (
        "Rows of the paper that are built as these runs are. The networks here: "
        f"{'; '.join(networks)}. The paper's numbers are of splits of its own."
    )
    parts = [f'<h2>Beside the paper</h2><p class="muted">{markup.text(note)}</p>']
    if same:
        heads = [f"{METRICS[metric]} {who}" for metric in _METRICS for who in _WHOSE]
        lines = [(each.title, _numbers(each.sheet)) for each in same]
        parts.append(_card(markup.table(["Table and row", *heads], lines)))
    if other:
        parts.append(f'<p class="muted">{OTHER_DATA} (SRCC).</p>{_card(_elsewhere(other))}')
    return "".join(parts)


def _numbers(sheet: ResultsTable) -> list[str]:
    found = {column.metric: column for column in columns(sheet)}
    return [printed[0] for name in _METRICS for printed in (found[name].ours, found[name].paper)]


def _elsewhere(rows: Sequence[Row]) -> str:
    """Our SRCC, and the paper's on its data sets."""
    ours, theirs = [], []
    for each in rows:
        sheet = each.sheet
        ours.append(next(c.ours[0] for c in columns(sheet) if c.metric == "srcc"))
        found = [c for c in other_columns(sheet) if c.metric == "srcc"]
        theirs.append({c.dataset: c.paper[0] for c in found})
    datasets = list(dict.fromkeys(dataset for found in theirs for dataset in found))
    lines = [
        (each.title, [own, *(found.get(dataset, "–") for dataset in datasets)])
        for each, own, found in zip(rows, ours, theirs, strict=True)
    ]
    return markup.table(["Table and row", "here", *datasets], lines)


def _card(table: str) -> str:
    return f'<div class="card">{markup.scroll(table)}</div>'
