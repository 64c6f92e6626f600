"""The page of a run, of several runs, or of a table of the paper: one self-contained file, from templates."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from a2inet_jax import files
from a2inet_jax.evaluation import protocol
from a2inet_jax.evaluation.protocol import METRIC_TITLES, Results, format_value, model_title
from a2inet_jax.report import make_table, plots, writers
from a2inet_jax.report.columns import COMPARISON_RULE, columns, notes
from a2inet_jax.report.examples import Examples
from a2inet_jax.report.make_table import PaperRow
from a2inet_jax.report.run_files import Run
from a2inet_jax.report.sections import Context, flatten, paper_section, run_section, table_context
from a2inet_jax.report.table import ResultsTable, RunResults

TEMPLATES = Environment(
    loader=PackageLoader("a2inet_jax.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
MAX_UNFOLDED = 6  # a longer list of comparisons is folded


def write(
    folder: Path,
    runs: Sequence[tuple[Run, Examples]],
    comparisons: Sequence[str] = (),
    paper_rows: Sequence[Sequence[PaperRow]] = (),
) -> Path:
    """Write `report.html` of one run or of several, and `results.csv`, `.json` and `.tex` beside it.

    The page loads nothing from the network and has no scripts. The same runs give the same bytes.

    Args:
        folder: It is created; the path of the page is returned.
        runs: The runs in the order of the page, each with the examples to show.
        comparisons: Paired comparisons of the runs, a sentence each.
        paper_rows: For each run, the rows of the paper that have its settings.

    Raises:
        FolderError: A file cannot be written.
    """
    only_runs = [run for run, _ in runs]
    names = make_table.run_names([(run.path, run.name) for run in only_runs])
    with_paper = [
        (
            run,
            f"{name} · " if len(runs) > 1 else "",
            make_table.of_paper(RunResults(run.path, run.results), row),
        )
        for run, name, rows in zip(only_runs, names, paper_rows)
        for row in rows
    ]
    more = [each for _, _, each in with_paper]
    if len(runs) > 1:
        table = make_table.of_runs(only_runs, comparisons)
        title = " and ".join(names) if len(runs) == 2 else table.title
        shown: Context = {"lead": _runs_lead(table)}
    else:
        run = only_runs[0]
        table = make_table.of_models(RunResults(run.path, run.results))
        title = f"{model_title(run.results['model'])} on the {run.dataset} data set"
        other = make_table.of_cross_results(run)
        more += [other] if other else []
        shown = _single(run, other)
    writers.write(folder, table, more, "results")
    shown["paper"] = paper_section(with_paper)
    return _save(folder, title, table, runs, names, "results", shown)


def write_table(folder: Path, table: ResultsTable, runs: Sequence[tuple[Run, Examples]]) -> Path:
    """Write `report.html` of a table of the paper, with the runs in its cells, as `write` does."""
    writers.write(folder, table)
    names = [_row_name(table, run) for run, _ in runs]
    return _save(folder, table.title, table, runs, names, "table", {"lead": _runs_lead(table)})


def differing_fields(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the fields in which configs differ, with their values; a dash if a config lacks the field."""
    flat = [dict(flatten(config)) for config in configs]
    fields = dict.fromkeys(name for each in flat for name in each)
    values = {name: [each.get(name, "–") for each in flat] for name in fields if name != "name"}
    return {name: found for name, found in values.items() if len(set(found)) > 1}


def _save(
    folder: Path,
    title: str,
    table: ResultsTable,
    runs: Sequence[tuple[Run, Examples]],
    names: Sequence[str],
    file_name: str,
    shown: Context,
) -> Path:
    is_single = "tiles" in shown
    # The most important notes stand at the top, the others in small print below the table.
    own = [each.note for each in table.datasets.values() if is_single or each.label != "MOS"]
    top = list(dict.fromkeys(filter(None, own)))
    small = notes(table.without_notes(top))
    top += [note for note in small if "optimistic" in note or (is_single and note in table.notes)]
    only_runs = [run for run, _ in runs]
    sections = [
        run_section(run, examples, name, f"run{i}", with_models=not is_single)
        for i, ((run, examples), name) in enumerate(zip(runs, names, strict=True))
    ]
    has_comparisons = table.comparisons or any(each["comparisons"] for each in sections)
    html = TEMPLATES.get_template("page.html").render(
        {"tiles": [], "split_results": None, "other_data": None, "paper": None} | shown,
        title=title,
        top=top,
        table=table_context(table),
        ours=model_title(only_runs[0].results["model"]) if is_single else "",
        small=[note for note in small if note not in top],
        comparisons=table.comparisons,
        comparison_rule=COMPARISON_RULE if has_comparisons else "",
        max_unfolded=MAX_UNFOLDED,
        files=[f"{file_name}.{suffix}" for suffix in writers.SUFFIXES],
        spreads=[_srcc_by_model(runs[0][0].results)]
        if is_single
        else list(_srcc_by_run(only_runs, names)),
        differing=_differing(only_runs, names) if len(runs) > 1 else None,
        runs=sections,
        is_single=is_single,
    )
    path = folder / "report.html"
    files.write(path, html.encode())
    return path


# The page of one run


def _single(run: Run, other: ResultsTable | None) -> Context:
    """Return what only the page of one run has."""
    return {
        "lead": _lead(run),
        "tiles": list(_tiles(run.results)),
        "split_results": _split_results(run),
        "other_data": _other_data(run, other),
    }


def _lead(run: Run) -> str:
    """Return the first paragraph: the data set, the splits, and the SRCC beside the best baseline's."""
    data, splits = run.results["data"], run.splits
    train, validation, test = (
        _number_range([len(getattr(split, subset)) for split in splits])
        for subset in ("train", "validation", "test")
    )
    validation_text = f", {validation} for validation" if validation != "0" else ""
    medians = {
        name: model["summary"]["srcc"]["median"]
        for name, model in protocol.ordered_models(run.results).items()
    }
    text = (
        f"Trained to predict {data['label']} from features of frozen backbones, on "
        f"{protocol.format_splits(len(splits), 1)} with {train} videos for training"
        f"{validation_text} and {test} for testing. Median SRCC on the test sets: "
        f"{format_value(medians.pop(run.results['model']), 'srcc')}."
    )
    if not medians:
        return text
    best = max(medians, key=lambda name: medians[name])
    theirs = format_value(medians[best], "srcc")
    return f"{text} The best baseline ({model_title(best)}): {theirs}."


def _number_range(values: Sequence[int]) -> str:
    """Return `5`, or `5–8` if the values differ."""
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low}–{high}"


def _tiles(results: Results) -> Iterator[Context]:
    model = results["models"][results["model"]]
    for metric, title in METRIC_TITLES.items():
        summary = model["summary"][metric]
        median = summary["median"]
        yield {
            "name": title.split()[0],
            "is_main": metric == "srcc",
            "value": format_value(median, metric),
            "interval": protocol.format_interval(model["interval"][metric], metric, median),
            "low": format_value(summary["min"], metric, median),
            "high": format_value(summary["max"], metric, median),
        }


def _split_results(run: Run) -> Context:
    """Return a table with a row for each ensemble member."""
    models = protocol.ordered_models(run.results)
    model = run.results["model"]
    baselines = [name for name in models if name != model]
    headings = ["Split", "Videos"]
    headings += [f"{model_title(model)} {title}" for title in METRIC_TITLES.values()]
    headings += [f"{model_title(name)} SRCC" for name in baselines]
    # The index of the split, and the seed if there are several.
    members = sorted({(row.split, row.seed) for row in run.predictions})
    has_seeds = len({seed for _, seed in members}) > 1
    rows, failures = [], []
    for i, (split, seed) in enumerate(members):
        name = f"{split}, seed {seed}" if has_seeds else str(split)
        metrics = models[model]["splits"][i]
        mark = "" if metrics["logistic"]["converged"] else " †"
        failures += [f"{name}: {metrics['logistic']['reason']}"] if mark else []
        cells = [
            format_value(metrics[metric], metric) + mark * (metric in ("plcc", "rmse"))
            for metric in METRIC_TITLES
        ]
        cells += [format_value(models[each]["splits"][i]["srcc"], "srcc") for each in baselines]
        rows.append((name, [str(metrics["n"]), *cells]))
    note = f"† No logistic could be fitted (split {'; '.join(failures)}): computed on the unmapped scores."
    return {"headings": headings, "rows": rows, "notes": [note] if failures else []}


def _other_data(run: Run, table: ResultsTable | None) -> Context | None:
    """Return the results on other data sets: a row for each, and one for their average."""
    if not table:
        return {"headings": [], "rows": [], "notes": run.outdated} if run.outdated else None
    rows: dict[str, list[str]] = defaultdict(list)
    for column in columns(table):
        rows[column.dataset] += [column.ours[0], column.interval[0] or "–"]
    headings = [text for metric in table.metrics for text in (METRIC_TITLES[metric], "95 %")]
    return {
        "headings": ["Data set", *headings],
        "rows": list(rows.items()),
        "notes": [*notes(table), *run.outdated],
    }


def _srcc_by_model(results: Results) -> Context:
    values = {
        model_title(name): [metrics["srcc"] or 0.0 for metrics in model["splits"]]
        for name, model in protocol.ordered_models(results).items()
    }
    return {
        "svg": plots.dots_by_row(values, "SRCC", "spread"),
        "caption": "One dot for each split; all models have the same splits.",
    }


# The page of several runs


def _runs_lead(table: ResultsTable) -> str:
    datasets = ", ".join(data.name for data in table.datasets.values())
    kind = "rows of the paper's table" if table.number else "runs"
    suffix = ", compared with the paper's numbers" if table.number else ""
    return f"{len(table.rows)} {kind} on {datasets}{suffix}."


def _row_name(table: ResultsTable, run: Run) -> str:
    """Return the name of a run in a table: its rows, and its data set if several are trained on."""
    own = [each for each in table.cells() if not each[2].trained_on]
    rows = [row for row, _, cell in own if cell.run == str(run.path)]
    on_dataset = f" on {run.dataset}" if len({key for _, key, _ in own}) > 1 else ""
    return f"{', '.join(rows) or run.name}{on_dataset}"


def _srcc_by_run(runs: Sequence[Run], names: Sequence[str]) -> Iterator[Context]:
    """Yield a figure for each data set: the test SRCC of every run that was trained on it."""
    by_dataset: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for run, name in zip(runs, names, strict=True):
        model = run.results["models"][run.results["model"]]
        by_dataset[run.dataset][name] = [metrics["srcc"] or 0.0 for metrics in model["splits"]]
    for i, (dataset, values_by_run) in enumerate(by_dataset.items()):
        svg = plots.dots_by_row(values_by_run, "SRCC", f"spread{i}")
        yield {"svg": svg, "caption": f"{dataset}: one dot for each split's test set."}


def _differing(runs: Sequence[Run], names: Sequence[str]) -> Context:
    fields = differing_fields([run.config for run in runs])
    rows = [(name, [values[i] for values in fields.values()]) for i, name in enumerate(names)]
    return {"headings": ["Run", *fields], "rows": rows if fields else []}
