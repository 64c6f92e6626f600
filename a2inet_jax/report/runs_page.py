"""The page of several runs: their numbers side by side, and a section for each run that can be unfolded."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from a2inet_jax.evaluation import protocol
from a2inet_jax.report import (
    markup,
    paper_comparison,
    plots,
    results_table,
    sections,
    writers,
)
from a2inet_jax.report.columns import ResultsTable, notes
from a2inet_jax.report.paper_comparison import PaperComparison
from a2inet_jax.report.results_table import PaperRow, RunResults
from a2inet_jax.report.run_files import Run
from a2inet_jax.report.sections import Examples

MAX_UNFOLDED = 6  # a longer list of comparisons is folded


def write_runs(
    folder: Path,
    runs: Sequence[tuple[Run, Examples]],
    comparisons: Sequence[str] = (),
    paper_rows: Sequence[Sequence[PaperRow]] = (),
) -> Path:
    """Write `report.html` of at least two runs, and `results.csv`, `.json` and `.tex` beside it.

    Args:
        folder: Folder for the files; it is created.
        runs: The runs in the order of the page, each with the examples to show.
        comparisons: Paired comparisons of the runs, a sentence each.
        paper_rows: For each run, the rows of the paper that have its settings.

    Returns:
        The path of the page. The same runs give the same bytes.
    """
    only_runs = [run for run, _ in runs]
    table = results_table.of_runs(only_runs, comparisons)
    names = results_table.names([(run.path, run.name) for run in only_runs])
    with_paper = [
        PaperComparison(run, row, name)
        for run, name, rows in zip(only_runs, names, paper_rows)
        for row in rows
    ]
    writers.write(folder, table, [each.table for each in with_paper], "results")
    title = " and ".join(names) if len(runs) == 2 else table["title"]
    paper_html = paper_comparison.to_html(with_paper)
    return _write(folder / "report.html", title, table, runs, names, "results", paper_html)


def write_table(folder: Path, table: ResultsTable, runs: Sequence[tuple[Run, Examples]]) -> Path:
    """Write `report.html` of a table of the paper, beside the files of `writers.write`.

    Args:
        folder: Folder for the files; it is created.
        table: Our results with the rows of that table.
        runs: The runs in the table's cells, each with the examples to show.

    Returns:
        The path of the page.
    """
    writers.write(folder, table)
    names = [_row_name(table, run) for run, _ in runs]
    return _write(folder / "report.html", table["title"], table, runs, names, "table")


def differing_fields(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the fields in which configs differ, with their values; a dash if a config lacks the field."""
    flat = [dict(markup.flatten(config)) for config in configs]
    fields = dict.fromkeys(name for each in flat for name in each)
    values = {name: [each.get(name, "–") for each in flat] for name in fields if name != "name"}
    return {name: found for name, found in values.items() if len(set(found)) > 1}


def _write(
    path: Path,
    title: str,
    table: ResultsTable,
    runs: Sequence[tuple[Run, Examples]],
    names: Sequence[str],
    files: str,
    paper_html: str = "",
) -> Path:
    only_runs = [run for run, _ in runs]

    # The most important notes stand at the top, the others in small print below the table.
    top = [dataset["note"] for dataset in table["datasets"] if dataset["label"] != "MOS"]
    top = list(dict.fromkeys(filter(None, top)))
    small = notes(results_table.without_notes(table, top))
    top += [note for note in small if "optimistic" in note]
    small = [note for note in small if note not in top]

    body = [
        f'<div class="card">{markup.scrollable(writers.to_html(table))}</div>',
        markup.note_list(small),
        _comparisons(table["comparisons"]),
        markup.file_links([f"{files}.{suffix}" for suffix in sections.SUFFIXES]),
        paper_html,
    ]
    if runs:
        figures = "".join(_srcc_by_run(only_runs, names))
        body.append(f'<h2>Results of every split</h2><div class="grid">{figures}</div>')
    body.append(_config_differences(only_runs, names))
    if runs:
        body.append("<h2>Each run</h2>")
    for i, ((run, examples), name) in enumerate(zip(runs, names, strict=True)):
        body.append(_run_section(run, examples, name, f"run{i}"))
    return sections.save(path, title, _lead(table), top, "".join(body))


def _comparisons(lines: Sequence[str]) -> str:
    html = markup.note_list(lines)
    return markup.details("Paired comparisons", html) if len(lines) > MAX_UNFOLDED else html


def _row_name(table: ResultsTable, run: Run) -> str:
    """Return the name of a run in a table: its rows, and its data set if several are trained on."""
    rows, datasets = [], set()
    for row in table["rows"]:
        for dataset, cell in row["cells"].items():
            if "run" in cell and "trained_on" not in cell:
                datasets.add(dataset)
                if cell["run"] == str(run.path):
                    rows.append(row["row"])
    on_dataset = f" on {run.dataset}" if len(datasets) > 1 else ""
    return f"{', '.join(rows) or run.name}{on_dataset}"


def _lead(table: ResultsTable) -> str:
    datasets = ", ".join(dataset["title"] for dataset in table["datasets"])
    kind = "rows of the paper's table" if table["table"] else "runs"
    suffix = ", compared with the paper's numbers" if table["table"] else ""
    return f"{len(table['rows'])} {kind} on {datasets}{suffix}."


def _srcc_by_run(runs: Sequence[Run], names: Sequence[str]) -> Iterator[str]:
    """Yield a figure for each data set: the test SRCC of every run that was trained on it."""
    by_dataset: dict[str, dict[str, list[float]]] = {}
    for run, name in zip(runs, names, strict=True):
        model = run.results["models"][run.results["model"]]
        values = [metrics["srcc"] or 0.0 for metrics in model["splits"]]
        by_dataset.setdefault(run.dataset, {})[name] = values
    for i, (dataset, values_by_run) in enumerate(by_dataset.items()):
        svg = plots.dots_by_row(values_by_run, "SRCC", f"spread{i}")
        yield markup.figure(svg, f"{dataset}: one dot for each split's test set.", wide=True)


def _config_differences(runs: Sequence[Run], names: Sequence[str]) -> str:
    if len(runs) < 2:
        return ""
    heading = "<h2>Differences in configuration</h2>"
    fields = differing_fields([run.config for run in runs])
    if not fields:
        return f'{heading}<p class="muted">None; only the names of the runs differ.</p>'
    rows = [(name, [values[i] for values in fields.values()]) for i, name in enumerate(names)]
    table = markup.table(["Run", *fields], rows)
    return f'{heading}<div class="card">{markup.scrollable(table)}</div>'


def _run_section(run: Run, examples: Examples, name: str, key: str) -> str:
    srcc = run.results["models"][run.results["model"]]["summary"]["srcc"]["median"]
    html = [f'<div class="grid">{sections.figures(run, key)}</div>']
    if len(run.results["models"]) > 1:
        ours = protocol.model_title(run.results["model"])
        models = results_table.of_models(RunResults(run.path, run.results))
        table = markup.scrollable(writers.to_html(models, ours))
        html.append(f"<h3>Comparison with the baselines</h3>{table}")
        html.append(markup.note_list(protocol.comparison_lines(run.results)))
    html.append(sections.examples(examples, run.label, key, "h3"))
    html.append(f"<h3>Configuration and environment</h3>{sections.provenance(run)}")
    return markup.details(
        name,
        "".join(html),
        f"SRCC {protocol.format_value(srcc, 'srcc')} on {run.dataset} · {run.path}",
        css_class="run",
    )
