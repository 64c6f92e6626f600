"""A results table in the terminal, as CSV, JSON and LaTeX."""

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
from a2inet_jax.report.columns import (
    COMPARISON_RULE,
    OTHER_DATA,
    Column,
    columns,
    notes,
    other_columns,
)
from a2inet_jax.report.table import Cell, ResultsTable

SUFFIXES = ("csv", "json", "tex")  # of the files that `write` makes
MIN_NAME_WIDTH = 20  # characters of a row's name for which a terminal always has room
_GAP = 2  # characters between the columns of a terminal
FIELDS = (
    "table", "dataset", "row", "metric", "ours", "low", "high", "std", "paper", "difference", "run",
    "epoch_rule", "splits", "trained_on", "skipped",
)  # fmt: skip
_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_",
        "%": r"\%", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$",
        "|": r"$|$", "[": "{[}", "*": "{*}",  # after a line's end these two would begin an option
        "–": "--", "−": "$-$", "×": r"$\times$", "±": r"$\pm$", "τ": r"$\tau$", "·": r"$\cdot$",
        "≥": r"$\ge$", "≤": r"$\le$", "→": r"$\to$", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
        "\u00a0": "~",
    }
)  # fmt: skip


def write(
    folder: Path, table: ResultsTable, more: Sequence[ResultsTable] = (), name: str = "table"
) -> None:
    """Write `table.csv`, `table.json` and `table.tex`, each whole or not at all.

    Args:
        folder: It is created.
        table: The results.
        more: Tables that follow in the CSV and LaTeX files, and in the JSON as "more".
        name: Name of the files, without suffix.

    Raises:
        FolderError: A file cannot be written.
    """
    tables = [table, *more]
    following = {"more": [each.to_json() for each in more]} if more else {}
    latex = "\n".join(to_latex(each) for each in tables)
    files.write_csv(folder / f"{name}.csv", FIELDS, csv_rows(tables))
    files.write_json(folder / f"{name}.json", table.to_json() | following)
    files.write(folder / f"{name}.tex", latex.encode())


def csv_rows(tables: Iterable[ResultsTable]) -> Iterator[Sequence[object]]:
    """Yield the numbers in long form, one a row, in the columns `FIELDS`; missing ones are empty."""
    for table in tables:
        for column in [*columns(table), *other_columns(table)]:
            for row, entry in zip(table.rows, column.entries, strict=True):
                ours, papers = entry.ours, entry.paper
                made = entry.cell if isinstance(entry.cell, Cell) else None
                difference = None if ours is None or papers is None else ours - papers
                low, high = entry.bounds or (None, None)
                numbers = (ours, low, high, entry.std, papers, difference)
                yield (
                    table.number or "",
                    column.dataset,
                    row.name,
                    column.metric,
                    *("" if number is None else f"{number:.6g}" for number in numbers),
                    made.run if made else "",
                    entry.epoch_rule,
                    made.splits if made else "",
                    made.trained_on or column.dataset if made else "",
                    entry.cell if isinstance(entry.cell, str) else "",
                )


class _TextColumn(NamedTuple):
    """A column on a terminal."""

    heading: str
    cells: Sequence[Text]

    @property
    def width(self) -> int:
        return max(cell_len(self.heading), *(text.cell_len for text in self.cells))


def terminal(table: ResultsTable, width: int) -> Group:
    """Return a terminal table for each data set, with the best numbers in bold, and the notes below.

    Columns that do not fit side by side into `width` characters are put into further tables below: no number
    is cut.
    """
    blocks: list[Table | Text] = []
    for dataset, group in groupby(columns(table), lambda column: column.dataset):
        blocks.append(Text(printable(f"{table.title} · {dataset}"), "bold italic"))
        blocks += _tables(table, [_metric_columns(column) for column in group], width)
    # They only show the ranking of the rows, for which one metric is enough on a terminal.
    if others := [column for column in other_columns(table) if column.metric == "srcc"]:
        blocks.append(Text(f"{OTHER_DATA} (SRCC)", "bold italic"))
        blocks += _tables(table, [[_paper_column(each, each.dataset)] for each in others], width)
    small = [*notes(table), *([COMPARISON_RULE] if table.comparisons else [])]
    return Group(
        *blocks,
        *(Text(printable(note), "dim") for note in small),
        *(Text(printable(line)) for line in table.comparisons),
    )


def _metric_columns(column: Column) -> list[_TextColumn]:
    """Return our numbers, their intervals, and the paper's numbers or else the standard deviations."""
    heading, ours = column.title, _with_bold(column.ours, column.best)
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
    return [Text().append(text, "bold" if b else "") for text, b in zip(printed, best, strict=True)]


def _tables(
    table: ResultsTable, groups: Sequence[Sequence[_TextColumn]], width: int
) -> Iterator[Table | Text]:
    """Yield groups of columns side by side, in as few terminal tables as fit the width."""
    names = [printable(row.name) for row in table.rows]
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


def to_latex(table: ResultsTable) -> str:
    """Return the results as a `table*` of booktabs.

    A row of ours is followed by its intervals and by the paper's numbers, if there are any. The notes are
    the caption; the paired comparisons are LaTeX comments.
    """
    body = [_tabular(table, columns(table))]
    if others := other_columns(table):
        body += [rf"\par\medskip {escaped(OTHER_DATA)}.\par\smallskip", _tabular(table, others)]
    comments = [COMPARISON_RULE, *table.comparisons] if table.comparisons else []
    return "\n".join(
        [
            r"% \usepackage{booktabs}; names in other than Latin letters need XeLaTeX or LuaLaTeX",
            *(f"% {escaped(line)}" for line in comments),
            r"\begin{table*}",
            r"\centering",
            rf"\caption{{{escaped(' '.join([f'{table.title}.', *notes(table)]))}}}",
            *body,
            r"\end{table*}",
            "",
        ]
    )


def escaped(text: str) -> str:
    """Return LaTeX that prints the text unchanged, on one line."""
    return " ".join(text.replace("->", "→").split()).translate(_LATEX)


def _tabular(table: ResultsTable, shown: Sequence[Column]) -> str:
    groups = [(name, len(list(group))) for name, group in groupby(shown, lambda c: c.dataset)]
    rules, start = "", 2
    for _, n in groups:
        rules += rf"\cmidrule(lr){{{start}-{start + n - 1}}}"
        start += n
    lines = [
        rf"\begin{{tabular}}{{@{{}}l{'r' * len(shown)}@{{}}}}",
        r"\toprule",
        _line("", [rf"\multicolumn{{{n}}}{{c}}{{{escaped(name)}}}" for name, n in groups]),
        rules,
        _line("", [escaped(column.title) for column in shown]),
        r"\midrule",
    ]
    for i, row in enumerate(table.rows):
        name = escaped(row.name)
        papers = [_bold(column.paper[i], column.best_paper[i]) for column in shown]
        if all(column.only_paper for column in shown):
            lines.append(_line(name, papers))
            continue
        lines.append(_line(name, [_bold(column.ours[i], column.best[i]) for column in shown]))
        if any(column.interval[i] for column in shown):
            lines.append(_small(r"95\,\%", [escaped(column.interval[i]) for column in shown]))
        if any(column.entries[i].paper is not None for column in shown):
            lines.append(_small("paper", papers))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _bold(printed: str, best: bool) -> str:
    return rf"\textbf{{{escaped(printed)}}}" if best else escaped(printed)


def _small(name: str, cells: Sequence[str]) -> str:
    """Return a line in small print; the cells are LaTeX."""
    small = [rf"\footnotesize {cell}" if cell else "" for cell in cells]
    return _line(rf"\quad\footnotesize {name}", small)


def _line(name: str, cells: Sequence[str]) -> str:
    return " & ".join([name, *cells]) + r" \\"
