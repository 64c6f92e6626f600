"""The page of one run: results, baselines, curves, examples and provenance, in one self-contained file."""

from collections.abc import Sequence
from pathlib import Path

from a2inet_jax.evaluation import protocol
from a2inet_jax.evaluation.protocol import METRIC_TITLES, Results, format_value, model_title
from a2inet_jax.report import (
    markup,
    paper_comparison,
    plots,
    results_table,
    run_files,
    sections,
    writers,
)
from a2inet_jax.report.columns import ResultsTable, columns, notes
from a2inet_jax.report.paper_comparison import PaperComparison
from a2inet_jax.report.results_table import PaperRow, RunResults
from a2inet_jax.report.run_files import Run
from a2inet_jax.report.sections import Examples


def write(
    path: Path,
    examples: Examples,
    paper_rows: Sequence[PaperRow] = (),
    folder: Path | None = None,
) -> Path:
    """Write `report.html`, and its numbers as `results.csv`, `results.json` and `results.tex`.

    The page loads nothing from the network and has no scripts. The same run gives the same bytes.

    Args:
        path: Folder of an evaluated run.
        examples: The examples to show.
        paper_rows: Rows of the paper that have the run's settings.
        folder: Folder for the files; that of the run if None.

    Returns:
        The path of the page.

    Raises:
        FileNotFoundError: A file is missing from the run's folder; the message names it.
        FolderError: A file cannot be written.
        RunError: A file cannot be read, or an earlier version wrote it.
    """
    run = run_files.read(path)
    folder = folder or path
    models = results_table.of_models(RunResults(run.path, run.results))
    comparisons = [PaperComparison(run, row) for row in paper_rows]
    other_data = results_table.of_cross_results(run)

    # The most important notes stand at the top, the others in small print below the table.
    top = [note for note in (run.results["data"]["note"], *protocol.remarks(run.results)) if note]
    small = [note for note in notes(results_table.without_notes(models, top)) if note not in top]
    body = "".join(
        (
            f'<div class="tiles">{_tiles(run.results)}</div>',
            "<h2>Comparison with the baselines</h2>"
            if len(models["rows"]) > 1
            else "<h2>Results</h2>",
            _card(writers.to_html(models, model_title(run.results["model"]))),
            markup.note_list([*small, *models["comparisons"]]),
            paper_comparison.to_html(comparisons),
            _other_data(run, other_data),
            markup.details("Results of every split", _split_results(run)),
            markup.file_links([f"results.{suffix}" for suffix in sections.SUFFIXES]),
            "<h2>Predictions and training</h2>",
            f'<div class="grid">{sections.figures(run, "run")}{_srcc_by_model(run.results)}</div>',
            sections.examples(examples, run.label, "run", "h2"),
            "<h2>Configuration and environment</h2>",
            sections.provenance(run),
        )
    )
    more = [each.table for each in comparisons] + ([other_data] if other_data else [])
    writers.write(folder, models, more, "results")
    title = f"{model_title(run.results['model'])} on the {run.dataset} data set"
    return sections.save(folder / "report.html", title, _lead(run), top, body)


def _lead(run: Run) -> str:
    """Return the first paragraph: the data set, the splits, and the SRCC beside the best baseline's."""
    data, splits = run.results["data"], run.splits
    sizes = {
        subset: [len(getattr(split, subset)) for split in splits]
        for subset in ("train", "validation", "test")
    }
    train, validation, test = (markup.number_range(each) for each in sizes.values())
    validation_text = f", {validation} for validation" if any(sizes["validation"]) else ""
    summaries = {
        name: model["summary"] for name, model in protocol.ordered_models(run.results).items()
    }
    ours = format_value(summaries.pop(run.results["model"])["srcc"]["median"], "srcc")
    text = (
        f"Trained to predict {data['label']} from features of frozen backbones, on "
        f"{protocol.format_splits(len(splits), 1)} with {train} videos for training"
        f"{validation_text} and {test} for testing. Median SRCC on the test sets: {ours}."
    )
    if not summaries:
        return text
    best = max(summaries, key=lambda name: summaries[name]["srcc"]["median"])
    theirs = format_value(summaries[best]["srcc"]["median"], "srcc")
    return f"{text} The best baseline ({model_title(best)}): {theirs}."


def _tiles(results: Results) -> str:
    tiles = []
    model = results["models"][results["model"]]
    for metric, title in METRIC_TITLES.items():
        summary = model["summary"][metric]
        median = summary["median"]
        low, high = (format_value(summary[key], metric, median) for key in ("min", "max"))
        interval = protocol.format_interval(model["interval"][metric], metric, median)
        css_class = "tile main" if metric == "srcc" else "tile"
        tiles.append(
            f'<div class="{css_class}"><span>median {title.split()[0]}</span>'
            f"<b>{format_value(median, metric)}</b>"
            f"<span>95 %: {interval}</span>"
            f"<span>splits: {low} to {high}</span></div>"
        )
    return "".join(tiles)


def _card(table: str) -> str:
    return f'<div class="card">{markup.scrollable(table)}</div>'


def _other_data(run: Run, table: ResultsTable | None) -> str:
    """Return the section on other data sets: a row for each, and one for their average."""
    if not table:
        if not run.outdated:
            return ""
        return f"<h2>Results on other data sets</h2>{markup.note_list(run.outdated)}"
    rows: dict[str, list[str]] = {}
    for column in columns(table):
        rows.setdefault(column.dataset, []).extend((column.ours[0], column.interval[0] or "–"))
    headings = [text for metric in table["metrics"] for text in (METRIC_TITLES[metric], "95 %")]
    html = markup.table(["Data set", *headings], list(rows.items()))
    return (
        f"<h2>Results on other data sets</h2>{_card(html)}"
        f"{markup.note_list([*notes(table), *run.outdated])}"
    )


def _split_results(run: Run) -> str:
    """Return a table with a row for each ensemble member."""
    models = protocol.ordered_models(run.results)
    model = run.results["model"]
    baselines = [name for name in models if name != model]
    headings = ["Split", "Videos"]
    headings += [f"{model_title(model)} {title}" for title in METRIC_TITLES.values()]
    headings += [f"{model_title(name)} SRCC" for name in baselines]
    rows, failures = [], []
    for i, member in enumerate(_member_names(run)):
        metrics = models[model]["splits"][i]
        mark = "" if metrics["logistic"]["converged"] else " †"
        failures += [f"{member}: {metrics['logistic']['reason']}"] if mark else []
        cells = [str(metrics["n"])]
        for metric in METRIC_TITLES:
            cells.append(
                format_value(metrics[metric], metric) + mark * (metric in ("plcc", "rmse"))
            )
        cells += [format_value(models[name]["splits"][i]["srcc"], "srcc") for name in baselines]
        rows.append((member, cells))
    note = f"† No logistic could be fitted (split {'; '.join(failures)}): computed on the unmapped scores."
    return markup.scrollable(markup.table(headings, rows)) + markup.note_list(
        [note] if failures else []
    )


def _member_names(run: Run) -> list[str]:
    """Return the ensemble members' names: the index of the split, and the seed if there are several."""
    found = sorted({(row.split, row.seed) for row in run.predictions})
    if len({seed for _, seed in found}) == 1:
        return [str(split) for split, _ in found]
    return [f"{split}, seed {seed}" for split, seed in found]


def _srcc_by_model(results: Results) -> str:
    values = {
        model_title(name): [metrics["srcc"] or 0.0 for metrics in model["splits"]]
        for name, model in protocol.ordered_models(results).items()
    }
    return markup.figure(
        plots.dots_by_row(values, "SRCC", "run-spread"),
        "One dot for each split; all models have the same splits.",
        wide=True,
    )
