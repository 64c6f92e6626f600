"""A run folder as one self-contained page: results, baselines, curves, cases, and what made them."""

from collections.abc import Sequence
from pathlib import Path

from a2inet_jax.evaluation import protocol
from a2inet_jax.evaluation.protocol import METRICS, Results, shown, title
from a2inet_jax.report import (
    beside_paper,
    markup,
    plots,
    results_table,
    run_files,
    sections,
    side_by_side,
)
from a2inet_jax.report.columns import ResultsTable, columns, notes
from a2inet_jax.report.results_table import PaperRow, RunResults
from a2inet_jax.report.run_files import Run
from a2inet_jax.report.sections import Examples


def write(
    path: Path, cases: Examples, paper: Sequence[PaperRow] = (), folder: Path | None = None
) -> Path:
    """Writes `report.html`, and its numbers as `results.csv`, `results.json` and `results.tex`.

    The page asks nothing of the network and needs no scripts. The same run gives the same bytes.

    Args:
        path: folder of a run that has been evaluated.
        cases: the clips to show.
        paper: rows of the paper that have the run's settings.
        folder: where to; the run's own if None.

    Returns:
        The page's path.

    Raises:
        FileNotFoundError: a file is missing from the run folder; the message names it.
        FolderError: a file can't be written.
        ValueError: a file cannot be read, or is of an earlier version.
    """
    run = run_files.read(path)
    folder = folder or path
    outcome = RunResults(run.path, run.results)
    models = results_table.of_models(outcome)
    beside = [beside_paper.Row(run, row) for row in paper]
    elsewhere = results_table.of_crossed(run)
    said = [note for note in (run.results["data"]["note"], *protocol.remarks(run.results)) if note]
    small = [note for note in notes(results_table.told_apart(models, said)) if note not in said]
    body = "".join(
        (
            f'<div class="tiles">{_tiles(run.results)}</div>',
            "<h2>Beside the baselines</h2>" if len(models["rows"]) > 1 else "<h2>Numbers</h2>",
            _card(side_by_side.to_html(models, title(run.results["model"]))),
            markup.listed([*small, *models["comparisons"]]),
            beside_paper.to_html(beside),
            _elsewhere(run, elsewhere),
            markup.details("Every split", _per_split(run)),
            markup.links([f"results.{suffix}" for suffix in sections.FILES]),
            "<h2>How it predicts, and how it learned</h2>",
            f'<div class="grid">{sections.figures(run, "run")}{_spread(run.results)}</div>',
            sections.cases(cases, run.label, "run", "h2"),
            "<h2>What made these numbers</h2>",
            sections.provenance(run),
        )
    )
    more = [each.sheet for each in beside] + ([elsewhere] if elsewhere else [])
    side_by_side.write(folder, models, more, "results")
    heading = f"{title(run.results['model'])} on the {run.dataset} data set"
    return sections.save(folder / "report.html", heading, _lead(run), said, body)


def _lead(run: Run) -> str:
    data, parts = run.results["data"], run.parts
    sizes = [[len(getattr(s, part)) for s in parts] for part in ("train", "validation", "test")]
    train, validation, test = (markup.span(part) for part in sizes)
    held = f" and {validation} for validation" if any(sizes[1]) else ""
    splits = "1 split" if len(parts) == 1 else f"{len(parts)} splits"
    summaries = {name: model["summary"] for name, model in protocol.models(run.results).items()}
    ours = shown(summaries.pop(run.results["model"])["srcc"]["median"], "srcc")
    sentence = (
        f"Trained to predict {data['label']} from frozen backbones' features. {splits}: {train} "
        f"videos for training{held}, {test} for the test. Median SRCC on the test parts: {ours}"
    )
    if not summaries:
        return sentence + "."
    rival = max(summaries, key=lambda name: summaries[name]["srcc"]["median"])
    theirs = shown(summaries[rival]["srcc"]["median"], "srcc")
    return f"{sentence}. The best of the baselines ({title(rival)}): {theirs}."


def _tiles(results: Results) -> str:
    tiles = []
    model = results["models"][results["model"]]
    for metric, heading in METRICS.items():
        summary = model["summary"][metric]
        median = summary["median"]
        low, high = (shown(summary[key], metric, median) for key in ("min", "max"))
        kind = "tile main" if metric == "srcc" else "tile"
        tiles.append(
            f'<div class="{kind}"><span>median {heading.split()[0]}</span>'
            f"<b>{shown(median, metric)}</b>"
            f"<span>95 %: {protocol.interval(model['interval'][metric], metric, median)}</span>"
            f"<span>splits: {low} to {high}</span></div>"
        )
    return "".join(tiles)


def _card(table: str) -> str:
    return f'<div class="card">{markup.scroll(table)}</div>'


def _elsewhere(run: Run, sheet: ResultsTable | None) -> str:
    """The run on other data sets, one a line, and their average if there are several."""
    if not sheet:
        return f"<h2>On other data sets</h2>{markup.listed(run.left_out)}" if run.left_out else ""
    rows: dict[str, list[str]] = {}
    for column in columns(sheet):
        rows.setdefault(column.dataset, []).extend((column.ours[0], column.interval[0] or "–"))
    heads = [heading for metric in sheet["metrics"] for heading in (METRICS[metric], "95 %")]
    table = markup.table(["Data set", *heads], list(rows.items()))
    return (
        f"<h2>On other data sets</h2>{_card(table)}{markup.listed([*notes(sheet), *run.left_out])}"
    )


def _per_split(run: Run) -> str:
    models = protocol.models(run.results)
    model = run.results["model"]
    others = [name for name in models if name != model]
    heads = ["Split", "Videos", *(f"{title(model)} {heading}" for heading in METRICS.values())]
    heads += [f"{title(name)} SRCC" for name in others]
    rows, failed = [], []
    for number, training in enumerate(_trainings(run)):
        ours = models[model]["splits"][number]
        mark = "" if ours["logistic"]["converged"] else " †"
        failed += [f"{training}: {ours['logistic']['reason']}"] if mark else []
        cells = [str(ours["n"])]
        for metric in METRICS:
            cells.append(shown(ours[metric], metric) + mark * (metric in ("plcc", "rmse")))
        cells += [shown(models[name]["splits"][number]["srcc"], "srcc") for name in others]
        rows.append((training, cells))
    note = f"† no logistic could be fitted (split {'; '.join(failed)}): scores as they are."
    return markup.scroll(markup.table(heads, rows)) + markup.listed([note] if failed else [])


def _trainings(run: Run) -> list[str]:
    """Names of the trainings: the splits' numbers, with the seeds if there are several."""
    found = sorted({(row.split, row.seed) for row in run.tested})
    if len({seed for _, seed in found}) == 1:
        return [str(split) for split, _ in found]
    return [f"{split}, seed {seed}" for split, seed in found]


def _spread(results: Results) -> str:
    values = {
        title(name): [s["srcc"] or 0.0 for s in model["splits"]]
        for name, model in protocol.models(results).items()
    }
    return markup.figure(
        plots.spread(values, "SRCC", "run-spread"),
        "The same splits for every model, one dot each.",
        wide=True,
    )
