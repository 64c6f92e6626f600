"""A results table in the terminal, as HTML, and as JSON, CSV and LaTeX files."""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from rich import box
from rich.cells import cell_len
from rich.console import Group
from rich.table import Table
from rich.text import Text

from a2inet_jax import files
from a2inet_jax.console import printable
from a2inet_jax.evaluation.protocol import METRIC_TITLES
from a2inet_jax.report import markup
from a2inet_jax.report.columns import (
    OTHER_DATA,
    Column,
    ResultsTable,
    columns,
    notes,
    other_columns,
)
from a2inet_jax.report.latex import to_latex

MAX_COLUMNS = 8  # a table with more makes its page wider
MIN_NAME_WIDTH = 20  # characters of a row's name for which a terminal always has room
_GAP = 2  # characters between the columns of a terminal
FIELDS = (
    "table", "dataset", "row", "metric", "ours", "low", "high", "std", "paper", "difference", "run",
    "epoch_rule", "splits", "trained_on", "skipped",
)  # fmt: skip


class _TextColumn(NamedTuple):
    """A column on a terminal."""

    heading: str
    cells: Sequence[Text]

    @property
    def width(self) -> int:
        return max(cell_len(self.heading), *(text.cell_len for text in self.cells))


def terminal(table: ResultsTable, width: int) -> Group:
    """Return a terminal table for each data set, with the best numbers in bold, and the notes below.

    Columns that do not fit side by side are put into further tables below: no number is cut.

    Args:
        table: The results.
        width: Characters of a line.
    """
    blocks: list[Table | Text] = []
    by_dataset: dict[str, list[Column]] = {}
    for column in columns(table):
        by_dataset.setdefault(column.dataset, []).append(column)
    for dataset, group in by_dataset.items():
        blocks.append(_title(f"{table['title']} · {dataset}"))
        blocks += _tables(table, [_metric_columns(column) for column in group], width)
    # They only show the ranking of the rows, for which one metric is enough on a terminal.
    if others := [column for column in other_columns(table) if column.metric == "srcc"]:
        blocks.append(_title(f"{OTHER_DATA} (SRCC)"))
        groups = [[_paper_column(column, column.dataset)] for column in others]
        blocks += _tables(table, groups, width)
    small = [Text(printable(note), style="dim") for note in notes(table)]
    return Group(*blocks, *small, *(Text(printable(line)) for line in table["comparisons"]))


def to_html(table: ResultsTable, ours: str = "") -> str:
    """Return the numbers as HTML tables, without the notes; the row with the name `ours` is marked."""
    return "".join(
        (
            _html(table, columns(table), ours),
            _html(table, other_columns(table), ours, OTHER_DATA),
        )
    )


def to_csv(tables: Iterable[ResultsTable]) -> str:
    """Return the numbers in long form, one a line, in the columns `FIELDS`; missing ones are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FIELDS)
    for table in tables:
        for column in [*columns(table), *other_columns(table)]:
            for row, cell in zip(table["rows"], column.cells, strict=True):
                difference = (
                    None if cell.ours is None or cell.paper is None else cell.ours - cell.paper
                )
                low, high = cell.bounds or (None, None)
                numbers = (cell.ours, low, high, cell.std, cell.paper, difference)
                writer.writerow(
                    [
                        table["table"] or "",
                        column.dataset,
                        row["row"],
                        column.metric,
                        *("" if number is None else f"{number:.6g}" for number in numbers),
                        cell.run,
                        cell.epoch_rule,
                        cell.splits,
                        cell.trained_on,
                        cell.skipped,
                    ]
                )
    return text.getvalue()


def write(
    folder: Path, table: ResultsTable, more: Sequence[ResultsTable] = (), name: str = "table"
) -> None:
    """Write `table.json`, `table.csv` and `table.tex`, each whole or not at all.

    Args:
        folder: Folder for the files; it is created.
        table: The results.
        more: Tables that follow in the CSV and LaTeX files, and in the JSON as "more".
        name: Name of the files, without suffix.

    Raises:
        FolderError: A file cannot be written.
    """
    content = {**table, "more": list(more)} if more else table
    texts = {
        "json": json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        + "\n",
        "csv": to_csv([table, *more]),
        "tex": "\n".join(to_latex(each) for each in [table, *more]),
    }
    for suffix, text in texts.items():
        files.write(folder / f"{name}.{suffix}", text.encode())


def _title(text: str) -> Text:
    return Text(printable(text), style="bold italic")


def _metric_columns(column: Column) -> list[_TextColumn]:
    """Return our numbers, their intervals, and the paper's numbers or else the standard deviations."""
    heading, ours = METRIC_TITLES[column.metric], _with_bold(column.ours, column.best)
    if any(column.std) and not column.has_paper:
        heading += " (std)"
        for text, std in zip(ours, column.std, strict=True):
            text.append(f" ({std})" if std else "")
    found = [_TextColumn(heading, ours)]
    if any(column.interval):
        found.append(_TextColumn("95 %", [Text(interval, "dim") for interval in column.interval]))
    if column.has_paper:
        found.append(_paper_column(column, "paper"))
    return found


def _paper_column(column: Column, heading: str) -> _TextColumn:
    return _TextColumn(heading, _with_bold(column.paper, column.best_paper))


def _with_bold(printed: Sequence[str], best: Sequence[bool]) -> list[Text]:
    return [
        Text().append(text, "bold" if bold else "")
        for text, bold in zip(printed, best, strict=True)
    ]


def _tables(
    table: ResultsTable, groups: Sequence[Sequence[_TextColumn]], width: int
) -> Iterator[Table | Text]:
    """Yield groups of columns side by side, in as few terminal tables as fit the width."""
    names = [printable(row["row"]) for row in table["rows"]]
    room = width - min(MIN_NAME_WIDTH, max(map(cell_len, names)))
    group_widths = [sum(_GAP + column.width for column in group) for group in groups]
    for num_tables in range(1, len(groups) + 1):
        size = math.ceil(len(groups) / num_tables)
        starts = range(0, len(groups), size)
        if all(sum(group_widths[start : start + size]) <= room for start in starts):
            break
    for start in starts:
        rich_table = Table(
            box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0)
        )
        rich_table.add_column("", overflow="fold")
        text_columns = [column for group in groups[start : start + size] for column in group]
        for column in text_columns:
            rich_table.add_column(Text(column.heading), justify="right", no_wrap=True)
        for name, *cells in zip(names, *(column.cells for column in text_columns), strict=True):
            rich_table.add_row(Text(name), *cells)
        yield rich_table
        yield Text()  # an empty line between tables


def _html(table: ResultsTable, shown: Sequence[Column], ours: str, caption: str = "") -> str:
    if not shown:
        return ""
    groups = [(name, len(list(group))) for name, group in groupby(shown, lambda c: c.dataset)]
    datasets = "".join(
        f'<th scope="colgroup" colspan="{n}">{markup.text(name)}</th>' for name, n in groups
    )
    metrics = "".join(f'<th scope="col">{METRIC_TITLES[column.metric]}</th>' for column in shown)
    body = []
    for i, row in enumerate(table["rows"]):
        cells = "".join(_html_cell(column, i) for column in shown)
        attribute = ' class="ours"' if row["row"] == ours else ""
        body.append(f'<tr{attribute}><th scope="row">{markup.text(row["row"])}</th>{cells}</tr>')
    caption_html = f"<caption>{markup.text(caption)}</caption>" if caption else ""
    css_class = "results many" if len(shown) > MAX_COLUMNS else "results"
    return (
        f'<table class="{css_class}">{caption_html}'
        f"<thead><tr><td></td>{datasets}</tr><tr><td></td>{metrics}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table>"
    )


def _html_cell(column: Column, i: int) -> str:
    """Return the cell of row i: our number, its interval and the paper's number, or the latter alone."""
    if column.only_paper:
        printed, best = column.paper, column.best_paper
    else:
        printed, best = column.ours, column.best
    attribute = ' class="best"' if best[i] else ""
    lines = [printed[i]]
    if column.interval[i]:
        lines.append(f"<small>{column.interval[i]}</small>")
    if column.cells[i].paper is not None and not column.only_paper:
        number = column.paper[i]
        number = f"<b>{number}</b>" if column.best_paper[i] else number
        lines.append(f"<small>paper {number}</small>")
    return f"<td{attribute}>{''.join(lines)}</td>"
