"""The section of a page that compares runs with the paper's rows of the same settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from a2inet_jax.evaluation.protocol import METRIC_TITLES
from a2inet_jax.report import markup, results_table
from a2inet_jax.report.columns import (
    OTHER_DATA,
    ResultsTable,
    columns,
    other_columns,
    paper_dataset,
)
from a2inet_jax.report.results_table import PaperRow, RunResults
from a2inet_jax.report.run_files import Run

_METRICS, _SOURCES = ("plcc", "srcc"), ("here", "in the paper")


@dataclass(frozen=True)
class PaperComparison:
    """A run and a row of the paper with the same settings; data set, networks and training may differ.

    Attributes:
        run: The run.
        row: The row of the paper.
        name: Name of the run if there are several, else empty.
    """

    run: Run
    row: PaperRow
    name: str = ""

    @cached_property
    def table(self) -> ResultsTable:
        """The run's results and the paper's."""
        return results_table.of_paper(RunResults(self.run.path, self.run.results), self.row)

    @property
    def title(self) -> str:
        """Table and row, after the name of the run if there is one."""
        title: str = self.table["title"]
        return f"{self.name} · {title}" if self.name else title


def to_html(comparisons: Sequence[PaperComparison]) -> str:
    """Return the section: first the paper's results on the run's own data set, then those on others."""
    if not comparisons:
        return ""
    same_data: list[PaperComparison] = []
    other_data: list[PaperComparison] = []
    for each in comparisons:
        if paper_dataset(each.table, each.table["datasets"][0]):
            same_data.append(each)
        elif each.table["table"] != 3:  # its models were trained on LSVQ
            other_data.append(each)
    streams = ("quality", "semantic")
    networks = dict.fromkeys(
        " and ".join(each.run.config["features"][name] for name in streams) for each in comparisons
    )
    note = (
        "Rows of the paper with the settings of these runs, which use the networks "
        f"{'; '.join(networks)}. The paper used its own splits."
    )
    html = [f'<h2>Comparison with the paper</h2><p class="muted">{markup.text(note)}</p>']
    if same_data:
        headings = [
            f"{METRIC_TITLES[metric]} {source}" for metric in _METRICS for source in _SOURCES
        ]
        rows = [(each.title, _numbers(each.table)) for each in same_data]
        html.append(_card(markup.table(["Table and row", *headings], rows)))
    if other_data:
        table = _other_data_table(other_data)
        html.append(f'<p class="muted">{OTHER_DATA} (SRCC).</p>{_card(table)}')
    return "".join(html)


def _numbers(table: ResultsTable) -> list[str]:
    """Return ours and the paper's number for each metric."""
    found = {column.metric: column for column in columns(table)}
    return [
        printed[0] for metric in _METRICS for printed in (found[metric].ours, found[metric].paper)
    ]


def _other_data_table(comparisons: Sequence[PaperComparison]) -> str:
    """Return a table of our SRCC and the paper's on its data sets."""
    ours: list[str] = []
    theirs: list[dict[str, str]] = []
    for each in comparisons:
        ours.append(next(c.ours[0] for c in columns(each.table) if c.metric == "srcc"))
        srcc_columns = [c for c in other_columns(each.table) if c.metric == "srcc"]
        theirs.append({c.dataset: c.paper[0] for c in srcc_columns})
    datasets = list(dict.fromkeys(dataset for found in theirs for dataset in found))
    rows = [
        (each.title, [our_srcc, *(found.get(dataset, "–") for dataset in datasets)])
        for each, our_srcc, found in zip(comparisons, ours, theirs, strict=True)
    ]
    return markup.table(["Table and row", "here", *datasets], rows)


def _card(table: str) -> str:
    return f'<div class="card">{markup.scrollable(table)}</div>'
