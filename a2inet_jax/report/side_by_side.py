"""Results beside each other and beside the paper's: in the terminal, and as CSV, LaTeX and HTML."""

import csv
import io
import json
import os
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from rich import box
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from a2inet_jax.evaluation.protocol import METRICS
from a2inet_jax.report import markup
from a2inet_jax.report.columns import Column, Content, columns, notes, other_columns
from a2inet_jax.report.latex import to_latex

OTHER_DATA = "The paper, on other data: compare the order, not the values"
MANY = 8  # columns, above which a page is wider
FIELDS = (
    "table", "dataset", "row", "metric", "ours", "low", "high", "std", "paper", "difference", "run",
    "skipped",
)  # fmt: skip


def terminal(content: Content) -> Group:
    """A table for each data set, the best in bold, and the notes below."""
    parts: list[Table | Text] = []
    by_dataset: dict[str, list[Column]] = {}
    for column in columns(content):
        by_dataset.setdefault(column.dataset, []).append(column)
    for dataset, group in by_dataset.items():
        table = _table(content)
        body: list[list[str]] = [[] for _ in content["rows"]]
        for column in group:
            table.add_column(METRICS[column.metric], justify="right", no_wrap=True)
            _extend(body, _marked(column.ours, column.best(column.ours)))
            if any(column.interval):
                table.add_column("95 %", justify="right", no_wrap=True)
                _extend(body, [f"[dim]{text}[/]" for text in column.interval])
            if any(cell.paper is not None for cell in column.cells):
                table.add_column("paper", justify="right", no_wrap=True)
                _extend(body, _marked(column.paper, column.best(column.paper)))
        parts += [_title(f"{content['title']} · {dataset}"), _filled(table, content, body)]
    # The order of the rows is all that they show: one metric is enough on a terminal.
    if others := [column for column in other_columns(content) if column.metric == "srcc"]:
        table = _table(content)
        body = [[] for _ in content["rows"]]
        for column in others:
            table.add_column(escape(column.dataset), justify="right")
            _extend(body, _marked(column.paper, column.best(column.paper)))
        parts += [_title(f"{OTHER_DATA} (SRCC)"), _filled(table, content, body)]
    return Group(*parts, *(Text(note, style="dim") for note in notes(content)))


def to_html(content: Content, ours: str = "") -> str:
    """The numbers as a table for a page, without the notes; the row of this name is marked."""
    return "".join(
        (
            _html(content, columns(content), ours),
            _html(content, other_columns(content), ours, OTHER_DATA),
        )
    )


def to_csv(contents: Iterable[Content]) -> str:
    """The numbers in long form, one a line, in the columns `FIELDS`; empty where there is none."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(FIELDS)
    for content in contents:
        for column in [*columns(content), *other_columns(content)]:
            for row, cell in zip(content["rows"], column.cells, strict=True):
                known = cell.ours is not None and cell.paper is not None
                difference = f"{cell.ours - cell.paper:.6g}" if known else ""  # type: ignore[operator]
                values = (cell.ours, cell.low, cell.high, cell.std, cell.paper)
                lines.writerow(
                    [
                        content["table"] or "",
                        column.dataset,
                        row["row"],
                        column.metric,
                        *("" if value is None else f"{value:.6g}" for value in values),
                        difference,
                        cell.run,
                        cell.skipped,
                    ]
                )
    return text.getvalue()


def write(
    folder: Path, content: Content, more: Sequence[Content] = (), name: str = "table"
) -> None:
    """Writes `table.json`, `table.csv` and `table.tex`, each whole or not at all.

    Args:
        folder: where to; it is made.
        content: what they show.
        more: contents that follow in the CSV and LaTeX files, and in the JSON as "more".
        name: of the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whole = {**content, "more": list(more)} if more else content
    texts = {
        "json": json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        + "\n",
        "csv": to_csv([content, *more]),
        "tex": "\n".join(to_latex(each) for each in [content, *more]),
    }
    for suffix, text in texts.items():
        aside = folder / f"{name}.{suffix}.part"
        aside.write_text(text, encoding="utf-8")
        os.replace(aside, folder / f"{name}.{suffix}")


def _table(content: Content) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Model" if content["table"] else "")
    return table


def _title(text: str) -> Text:
    return Text(text, style="bold italic")


def _filled(table: Table, content: Content, body: Sequence[Sequence[str]]) -> Table:
    for row, cells in zip(content["rows"], body, strict=True):
        table.add_row(escape(row["row"]), *cells)
    return table


def _marked(printed: Sequence[str], best: Sequence[bool]) -> list[str]:
    return [f"[bold]{t}[/]" if top else t for t, top in zip(printed, best, strict=True)]


def _extend(body: list[list[str]], column: Iterable[str]) -> None:
    for line, text in zip(body, column, strict=True):
        line.append(text)


def _html(content: Content, found: Sequence[Column], ours: str, title: str = "") -> str:
    if not found:
        return ""
    groups = [(name, len(list(group))) for name, group in groupby(found, lambda c: c.dataset)]
    first = "".join(
        f'<th scope="colgroup" colspan="{n}">{markup.text(name)}</th>' for name, n in groups
    )
    second = "".join(f'<th scope="col">{METRICS[column.metric]}</th>' for column in found)
    body = []
    for place, row in enumerate(content["rows"]):
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
    cell = column.cells[place]
    printed = column.paper if column.only_paper else column.ours
    kind = ' class="best"' if column.best(printed)[place] else ""
    lines = [printed[place]]
    if column.interval[place]:
        lines.append(f"<small>{column.interval[place]}</small>")
    if cell.paper is not None and not column.only_paper:
        number = column.paper[place]
        marked = f"<b>{number}</b>" if column.best(column.paper)[place] else number
        lines.append(f"<small>paper {marked}</small>")
    return f"<td{kind}>{''.join(lines)}</td>"
