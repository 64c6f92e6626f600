"""Results beside each other and beside the paper's: in the terminal, and as CSV, LaTeX and HTML."""

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

from a2inet_jax import atomic
from a2inet_jax.console import printable
from a2inet_jax.evaluation.protocol import METRICS
from a2inet_jax.report import markup
from a2inet_jax.report.columns import Column, ResultsTable, columns, notes, other_columns
from a2inet_jax.report.latex import to_latex

OTHER_DATA = "The paper, on other data: compare the order, not the values"
MANY = 8  # columns, above which a page is wider
NAMES = 20  # characters of a row's name that there is always room for on a terminal
_GAP = 2  # between columns there
FIELDS = (
    "table", "dataset", "row", "metric", "ours", "low", "high", "std", "paper", "difference", "run",
    "epoch_rule", "splits", "trained_on", "skipped",
)  # fmt: skip


class _Printed(NamedTuple):
    """A column on a terminal."""

    heading: str
    cells: Sequence[Text]

    @property
    def width(self) -> int:
        return max(cell_len(self.heading), *(text.cell_len for text in self.cells))


def terminal(sheet: ResultsTable, width: int) -> Group:
    """A table for each data set, the best in bold, and the notes below.

    What there is no room for beside each other comes below each other: no number is cut.

    Args:
        sheet: what is shown.
        width: characters of a line.
    """
    parts: list[Table | Text] = []
    by_dataset: dict[str, list[Column]] = {}
    for column in columns(sheet):
        by_dataset.setdefault(column.dataset, []).append(column)
    for dataset, group in by_dataset.items():
        parts.append(_title(f"{sheet['title']} · {dataset}"))
        parts += _tables(sheet, [_of_metric(column) for column in group], width)
    # The order of the rows is all that they show: one metric is enough on a terminal.
    if others := [column for column in other_columns(sheet) if column.metric == "srcc"]:
        parts.append(_title(f"{OTHER_DATA} (SRCC)"))
        parts += _tables(sheet, [[_of_paper(column, column.dataset)] for column in others], width)
    small = [Text(printable(note), style="dim") for note in notes(sheet)]
    return Group(*parts, *small, *(Text(printable(line)) for line in sheet["comparisons"]))


def to_html(sheet: ResultsTable, ours: str = "") -> str:
    """The numbers as a table for a page, without the notes; the row of this name is marked."""
    return "".join(
        (
            _html(sheet, columns(sheet), ours),
            _html(sheet, other_columns(sheet), ours, OTHER_DATA),
        )
    )


def to_csv(sheets: Iterable[ResultsTable]) -> str:
    """The numbers in long form, one a line, in the columns `FIELDS`; empty where there is none."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(FIELDS)
    for sheet in sheets:
        for column in [*columns(sheet), *other_columns(sheet)]:
            for row, cell in zip(sheet["rows"], column.cells, strict=True):
                known = cell.ours is not None and cell.paper is not None
                difference = f"{cell.ours - cell.paper:.6g}" if known else ""  # type: ignore[operator]
                values = (cell.ours, *(cell.bounds or (None, None)), cell.std, cell.paper)
                lines.writerow(
                    [
                        sheet["table"] or "",
                        column.dataset,
                        row["row"],
                        column.metric,
                        *("" if value is None else f"{value:.6g}" for value in values),
                        difference,
                        cell.run,
                        cell.epoch_rule,
                        cell.splits,
                        cell.trained_on,
                        cell.skipped,
                    ]
                )
    return text.getvalue()


def write(
    folder: Path, sheet: ResultsTable, more: Sequence[ResultsTable] = (), name: str = "table"
) -> None:
    """Writes `table.json`, `table.csv` and `table.tex`, each whole or not at all.

    Args:
        folder: where to; it is made.
        sheet: what they show.
        more: sheets that follow in the CSV and LaTeX files, and in the JSON as "more".
        name: of the files.

    Raises:
        FolderError: a file can't be written.
    """
    whole = {**sheet, "more": list(more)} if more else sheet
    texts = {
        "json": json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        + "\n",
        "csv": to_csv([sheet, *more]),
        "tex": "\n".join(to_latex(each) for each in [sheet, *more]),
    }
    for suffix, text in texts.items():
        atomic.write(folder / f"{name}.{suffix}", text.encode())


def _title(text: str) -> Text:
    return Text(printable(text), style="bold italic")


def _of_metric(column: Column) -> list[_Printed]:
    """Our numbers, their intervals, and the paper's numbers or else the standard deviations."""
    heading, ours = METRICS[column.metric], _marked(column.ours, column.best)
    if any(column.spread) and not column.beside_paper:
        heading += " (std)"
        for text, spread in zip(ours, column.spread, strict=True):
            text.append(f" ({spread})" if spread else "")
    found = [_Printed(heading, ours)]
    if any(column.interval):
        found.append(_Printed("95 %", [Text(interval, "dim") for interval in column.interval]))
    if column.beside_paper:
        found.append(_of_paper(column, "paper"))
    return found


def _of_paper(column: Column, heading: str) -> _Printed:
    return _Printed(heading, _marked(column.paper, column.best_paper))


def _marked(printed: Sequence[str], best: Sequence[bool]) -> list[Text]:
    return [
        Text().append(text, "bold" if top else "") for text, top in zip(printed, best, strict=True)
    ]


def _tables(
    sheet: ResultsTable, groups: Sequence[Sequence[_Printed]], width: int
) -> Iterator[Table | Text]:
    """Groups of columns beside each other, in as few tables as there is room for."""
    names = [printable(row["row"]) for row in sheet["rows"]]
    room = width - min(NAMES, max(map(cell_len, names)))
    needed = [sum(_GAP + column.width for column in group) for group in groups]
    for number in range(1, len(groups) + 1):
        size = math.ceil(len(groups) / number)
        starts = range(0, len(groups), size)
        if all(sum(needed[start : start + size]) <= room for start in starts):
            break
    for start in starts:
        table = Table(
            box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0)
        )
        table.add_column("", overflow="fold")
        beside = [column for group in groups[start : start + size] for column in group]
        for column in beside:
            table.add_column(Text(column.heading), justify="right", no_wrap=True)
        for name, *cells in zip(names, *(column.cells for column in beside), strict=True):
            table.add_row(Text(name), *cells)
        yield table
        yield Text()  # a line between tables


def _html(sheet: ResultsTable, found: Sequence[Column], ours: str, title: str = "") -> str:
    if not found:
        return ""
    groups = [(name, len(list(group))) for name, group in groupby(found, lambda c: c.dataset)]
    first = "".join(
        f'<th scope="colgroup" colspan="{n}">{markup.text(name)}</th>' for name, n in groups
    )
    second = "".join(f'<th scope="col">{METRICS[column.metric]}</th>' for column in found)
    body = []
    for place, row in enumerate(sheet["rows"]):
        cells = "".join(_html_cell(column, place) for column in found)
        kind = ' class="ours"' if row["row"] == ours else ""
        body.append(f'<tr{kind}><th scope="row">{markup.text(row["row"])}</th>{cells}</tr>')
    caption = f"<caption>{title}</caption>" if title else ""
    kind = "beside many" if len(found) > MANY else "beside"
    return (
        f'<table class="{kind}">{caption}<thead><tr><td></td>{first}</tr><tr><td></td>{second}</tr>'
        f"</thead><tbody>{''.join(body)}</tbody></table>"
    )


def _html_cell(column: Column, place: int) -> str:
    if column.only_paper:
        printed, best = column.paper, column.best_paper
    else:
        printed, best = column.ours, column.best
    kind = ' class="best"' if best[place] else ""
    lines = [printed[place]]
    if column.interval[place]:
        lines.append(f"<small>{column.interval[place]}</small>")
    if column.cells[place].paper is not None and not column.only_paper:
        number = column.paper[place]
        marked = f"<b>{number}</b>" if column.best_paper[place] else number
        lines.append(f"<small>paper {marked}</small>")
    return f"<td{kind}>{''.join(lines)}</td>"
