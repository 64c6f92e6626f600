"""Several runs as one self-contained page: their numbers beside each other, and each run to be opened."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from a2inet_jax.evaluation import protocol
from a2inet_jax.report import beside_paper, markup, plots, results_table, sections, side_by_side
from a2inet_jax.report.columns import ResultsTable, notes
from a2inet_jax.report.results_table import PaperRow, RunResults
from a2inet_jax.report.run_files import Run
from a2inet_jax.report.sections import Examples

MANY_LINES = 6  # more of them are folded away


def write_runs(
    folder: Path,
    runs: Sequence[tuple[Run, Examples]],
    comparisons: Sequence[str] = (),
    paper: Sequence[Sequence[PaperRow]] = (),
) -> Path:
    """Writes `report.html` of two runs or more, and `results.csv`, `.json` and `.tex` beside it.

    Args:
        folder: where to; it is made.
        runs: the runs in the order of the page, each with the clips to show.
        comparisons: what a paired test says of them.
        paper: for each run the rows of the paper that have its settings.

    Returns:
        The page's path. The same runs give the same bytes.
    """
    read = [run for run, _ in runs]
    sheet = results_table.of_runs(read, comparisons)
    called = results_table.names([(run.path, run.name) for run in read])
    beside = [
        beside_paper.Row(run, row, name)
        for run, name, rows in zip(read, called, paper)
        for row in rows
    ]
    side_by_side.write(folder, sheet, [each.sheet for each in beside], "results")
    title = " and ".join(called) if len(read) == 2 else sheet["title"]
    html = beside_paper.to_html(beside)
    return _write(folder / "report.html", title, sheet, runs, called, "results", html)


def write_table(folder: Path, sheet: ResultsTable, runs: Sequence[tuple[Run, Examples]]) -> Path:
    """Writes `report.html` of a table of the paper, beside the files of `side_by_side.write`.

    Args:
        folder: where to; it is made.
        sheet: of the table.
        runs: those that the table's cells are of, each with the clips to show.

    Returns:
        The page's path.
    """
    side_by_side.write(folder, sheet)
    called = [_row(sheet, run) for run, _ in runs]
    return _write(folder / "report.html", sheet["title"], sheet, runs, called, "table")


def varied(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The fields in which configs differ, with the value of each; a dash where one lacks the field."""
    flat = [dict(markup.leaves(config)) for config in configs]
    fields = dict.fromkeys(name for each in flat for name in each)
    values = {name: [each.get(name, "–") for each in flat] for name in fields if name != "name"}
    return {name: found for name, found in values.items() if len(set(found)) > 1}


def _write(
    path: Path,
    title: str,
    sheet: ResultsTable,
    runs: Sequence[tuple[Run, Examples]],
    called: Sequence[str],
    files: str,
    paper: str = "",
) -> Path:
    read = [run for run, _ in runs]
    said = [dataset["note"] for dataset in sheet["datasets"] if dataset["label"] != "MOS"]
    said = list(dict.fromkeys(filter(None, said)))
    small = notes(results_table.told_apart(sheet, said))
    said += [note for note in small if "optimistic" in note]
    small = [note for note in small if note not in said]
    body = "".join(
        (
            f'<div class="card">{markup.scroll(side_by_side.to_html(sheet))}</div>',
            markup.listed(small),
            _comparisons(sheet["comparisons"]),
            markup.links([f"{files}.{suffix}" for suffix in sections.FILES]),
            paper,
            f'<h2>Every split</h2><div class="grid">{"".join(_spreads(read, called))}</div>'
            if read
            else "",
            _what_varied(read, called),
            "<h2>Run by run</h2>" if read else "",
            *(
                _section(run, cases, name, f"run{place}")
                for place, ((run, cases), name) in enumerate(zip(runs, called, strict=True))
            ),
        )
    )
    return sections.save(path, title, _lead(sheet), said, body)


def _comparisons(lines: Sequence[str]) -> str:
    found = markup.listed(lines)
    return markup.details("Against each other", found) if len(lines) > MANY_LINES else found


def _row(sheet: ResultsTable, run: Run) -> str:
    """What a table calls a run: its row, and the data set if there are several to train on."""
    rows, datasets = [], set()
    for row in sheet["rows"]:
        for dataset, cell in row["cells"].items():
            if "run" in cell and "trained_on" not in cell:
                datasets.add(dataset)
                if cell["run"] == str(run.path):
                    rows.append(row["row"])
    where = f" on {run.dataset}" if len(datasets) > 1 else ""
    return f"{', '.join(rows) or run.name}{where}"


def _lead(sheet: ResultsTable) -> str:
    datasets = ", ".join(dataset["title"] for dataset in sheet["datasets"])
    rows = len(sheet["rows"])
    what = "rows of the paper's table" if sheet["table"] else "runs"
    beside = ", beside the paper's numbers" if sheet["table"] else ""
    return f"{rows} {what} on {datasets}{beside}."


def _spreads(runs: Sequence[Run], called: Sequence[str]) -> Iterator[str]:
    """A drawing for each data set: the test parts' SRCC of every run on it."""
    by_dataset: dict[str, dict[str, list[float]]] = {}
    for run, name in zip(runs, called, strict=True):
        model = run.results["models"][run.results["model"]]
        found = [split["srcc"] or 0.0 for split in model["splits"]]
        by_dataset.setdefault(run.dataset, {})[name] = found
    for place, (dataset, values) in enumerate(by_dataset.items()):
        drawn = plots.spread(values, "SRCC", f"spread{place}")
        yield markup.figure(drawn, f"{dataset}: one dot for each split's test part.", wide=True)


def _what_varied(runs: Sequence[Run], called: Sequence[str]) -> str:
    fields = varied([run.config for run in runs])
    if len(runs) < 2:
        return ""
    if not fields:
        return '<h2>What varied</h2><p class="muted">Nothing but the runs\' names.</p>'
    rows = [
        (name, [values[place] for values in fields.values()]) for place, name in enumerate(called)
    ]
    table = markup.table(["Run", *fields], rows)
    return f'<h2>What varied</h2><div class="card">{markup.scroll(table)}</div>'


def _section(run: Run, cases: Examples, name: str, key: str) -> str:
    srcc = run.results["models"][run.results["model"]]["summary"]["srcc"]["median"]
    inside = [f'<div class="grid">{sections.figures(run, key)}</div>']
    if len(run.results["models"]) > 1:
        ours = protocol.title(run.results["model"])
        table = side_by_side.to_html(
            results_table.of_models(RunResults(run.path, run.results)), ours
        )
        inside.append(f"<h3>Beside the baselines</h3>{markup.scroll(table)}")
        inside.append(markup.listed(protocol.comparisons(run.results)))
    inside.append(sections.cases(cases, run.label, key, "h3"))
    inside.append(f"<h3>What made these numbers</h3>{sections.provenance(run)}")
    return markup.details(
        name,
        "".join(inside),
        f"SRCC {protocol.shown(srcc, 'srcc')} on {run.dataset} · {run.path}",
        kind="run",
    )
