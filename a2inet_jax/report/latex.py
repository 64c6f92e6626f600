"""A sheet as a LaTeX table; it needs the package booktabs."""

from collections.abc import Sequence
from itertools import groupby

from a2inet_jax.evaluation.protocol import METRICS
from a2inet_jax.report.columns import Column, ResultsTable, columns, notes, other_columns

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
    "[": "{[}",  # behind a line's end it would begin an option, as the star would
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


def to_latex(sheet: ResultsTable) -> str:
    """The sheet as a `table*` of booktabs.

    A row of ours is followed by its intervals and by the paper's numbers, where there are some. The notes are
    the caption; what a paired test says of the rows is in comments.
    """
    ours, others = columns(sheet), other_columns(sheet)
    body = [_tabular(sheet, ours)]
    if others:
        body += [
            r"\par\medskip The paper, on other data: compare the order, not the values.\par\smallskip",
            _tabular(sheet, others),
        ]
    caption = " ".join([f"{sheet['title']}.", *notes(sheet)])
    return "\n".join(
        [
            r"% \usepackage{booktabs}; names in other than Latin letters need XeLaTeX or LuaLaTeX",
            *(f"% {escaped(line)}" for line in sheet["comparisons"]),
            r"\begin{table*}",
            r"\centering",
            rf"\caption{{{escaped(caption)}}}",
            *body,
            r"\end{table*}",
            "",
        ]
    )


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is, on one line."""
    joined = " ".join(text.replace("->", "→").split())
    return "".join(_ESCAPES.get(character, character) for character in joined)


def _tabular(sheet: ResultsTable, shown: Sequence[Column]) -> str:
    groups = [(name, len(list(group))) for name, group in groupby(shown, lambda c: c.dataset)]
    heads = [rf"\multicolumn{{{n}}}{{c}}{{{escaped(name)}}}" for name, n in groups]
    rules, start = [], 2
    for _, n in groups:
        rules.append(rf"\cmidrule(lr){{{start}-{start + n - 1}}}")
        start += n
    metrics = [escaped(METRICS[column.metric]) for column in shown]
    lines = [
        rf"\begin{{tabular}}{{@{{}}l{'r' * len(shown)}@{{}}}}",
        r"\toprule",
        _line("", heads),
        "".join(rules),
        _line("", metrics),
        r"\midrule",
    ]
    for place, row in enumerate(sheet["rows"]):
        name = escaped(row["row"])
        theirs = [_bold(column.paper[place], column.best_paper[place]) for column in shown]
        if all(column.only_paper for column in shown):
            lines.append(_line(name, theirs))  # the paper's numbers alone
            continue
        lines.append(_line(name, [_bold(c.ours[place], c.best[place]) for c in shown]))
        if any(column.interval[place] for column in shown):
            intervals = [escaped(column.interval[place]) for column in shown]
            lines.append(_small(r"95\,\%", intervals))
        if any(column.cells[place].paper is not None for column in shown):
            lines.append(_small("paper", theirs))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _bold(printed: str, best: bool) -> str:
    text = escaped(printed)
    return rf"\textbf{{{text}}}" if best else text


def _small(name: str, cells: Sequence[str]) -> str:
    """A line in small print; the cells are LaTeX."""
    shown = [rf"\footnotesize {cell}" if cell else "" for cell in cells]
    return _line(rf"\quad\footnotesize {name}", shown)


def _line(name: str, cells: Sequence[str]) -> str:
    return " & ".join([name, *cells]) + r" \\"
