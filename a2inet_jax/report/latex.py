"""A results table in LaTeX; it needs the package booktabs."""

from collections.abc import Sequence
from itertools import groupby

from a2inet_jax.evaluation.protocol import METRIC_TITLES
from a2inet_jax.report.columns import (
    OTHER_DATA,
    Column,
    ResultsTable,
    columns,
    notes,
    other_columns,
)

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    "[": "{[}",  # after a line's end it would begin an option, as the star would
    "*": "{*}",
    "–": "--",
    "−": "$-$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "τ": r"$\tau$",
    "·": r"$\cdot$",
    "≥": r"$\ge$",
    "≤": r"$\le$",
    "→": r"$\to$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "\u00a0": "~",
}


def to_latex(table: ResultsTable) -> str:
    """Return the results as a `table*` of booktabs.

    A row of ours is followed by its intervals and by the paper's numbers, if there are any. The notes are
    the caption; the paired comparisons are LaTeX comments.
    """
    ours, others = columns(table), other_columns(table)
    body = [_tabular(table, ours)]
    if others:
        body += [
            rf"\par\medskip {escaped(OTHER_DATA)}.\par\smallskip",
            _tabular(table, others),
        ]
    caption = " ".join([f"{table['title']}.", *notes(table)])
    return "\n".join(
        [
            r"% \usepackage{booktabs}; names in other than Latin letters need XeLaTeX or LuaLaTeX",
            *(f"% {escaped(line)}" for line in table["comparisons"]),
            r"\begin{table*}",
            r"\centering",
            rf"\caption{{{escaped(caption)}}}",
            *body,
            r"\end{table*}",
            "",
        ]
    )


def escaped(text: str) -> str:
    """Return LaTeX that prints the text unchanged, on one line."""
    line = " ".join(text.replace("->", "→").split())
    return "".join(_ESCAPES.get(character, character) for character in line)


def _tabular(table: ResultsTable, shown: Sequence[Column]) -> str:
    groups = [(name, len(list(group))) for name, group in groupby(shown, lambda c: c.dataset)]
    datasets = [rf"\multicolumn{{{n}}}{{c}}{{{escaped(name)}}}" for name, n in groups]
    rules, start = [], 2
    for _, n in groups:
        rules.append(rf"\cmidrule(lr){{{start}-{start + n - 1}}}")
        start += n
    metrics = [escaped(METRIC_TITLES[column.metric]) for column in shown]
    lines = [
        rf"\begin{{tabular}}{{@{{}}l{'r' * len(shown)}@{{}}}}",
        r"\toprule",
        _line("", datasets),
        "".join(rules),
        _line("", metrics),
        r"\midrule",
    ]
    for i, row in enumerate(table["rows"]):
        name = escaped(row["row"])
        ours = [_bold(column.ours[i], column.best[i]) for column in shown]
        papers = [_bold(column.paper[i], column.best_paper[i]) for column in shown]
        if all(column.only_paper for column in shown):
            lines.append(_line(name, papers))
            continue
        lines.append(_line(name, ours))
        if any(column.interval[i] for column in shown):
            intervals = [escaped(column.interval[i]) for column in shown]
            lines.append(_small(r"95\,\%", intervals))
        if any(column.cells[i].paper is not None for column in shown):
            lines.append(_small("paper", papers))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _bold(printed: str, best: bool) -> str:
    latex = escaped(printed)
    return rf"\textbf{{{latex}}}" if best else latex


def _small(name: str, cells: Sequence[str]) -> str:
    """Return a line in small print; the cells are LaTeX."""
    small = [rf"\footnotesize {cell}" if cell else "" for cell in cells]
    return _line(rf"\quad\footnotesize {name}", small)


def _line(name: str, cells: Sequence[str]) -> str:
    return " & ".join([name, *cells]) + r" \\"
