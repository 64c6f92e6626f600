"""The parts of a page that templates are filled with: tables, the paper's results, the section of a run."""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from a2inet_jax.evaluation import predictions, protocol
from a2inet_jax.evaluation.protocol import METRIC_TITLES, format_value, model_title
from a2inet_jax.metrics import MIN_POINTS, fit_logistic
from a2inet_jax.report import make_table, plots
from a2inet_jax.report.columns import OTHER_DATA, columns, other_columns, paper_dataset
from a2inet_jax.report.examples import PREVIEW_S, Example, Examples
from a2inet_jax.report.run_files import Run
from a2inet_jax.report.table import ResultsTable, RunResults

Context = dict[str, Any]  # what a template is filled with
THUMBNAIL_PX = 480  # longer side, enough to be enlarged
MAX_COLUMNS = 8  # a table with more makes its page wider


def table_context(table: ResultsTable) -> Context:
    """Return the tables of our columns and of those that are only the paper's, as the macro takes them."""
    tables = []
    for caption, shown in (("", columns(table)), (OTHER_DATA, other_columns(table))):
        groups = [(name, len(list(each))) for name, each in groupby(shown, lambda c: c.dataset)]
        if shown:
            tables.append({"caption": caption, "columns": shown, "groups": groups})
    is_wide = any(len(each["columns"]) > MAX_COLUMNS for each in tables)
    return {"rows": [row.name for row in table.rows], "tables": tables, "is_wide": is_wide}


def paper_section(compared: Sequence[tuple[Run, str, ResultsTable]]) -> Context | None:
    """Return the paper's results on the runs' own data sets, then those on others.

    Args:
        compared: A run, the beginning of its rows' names, and its table with a row of the paper. Data set,
            networks and training may differ from the paper's.
    """
    if not compared:
        return None
    same: list[tuple[str, list[str]]] = []
    others: list[tuple[str, str, dict[str, str]]] = []
    for run, prefix, table in compared:
        found = {column.metric: column for column in columns(table)}
        if paper_dataset(table, run.dataset):
            pairs = [(found[metric].ours[0], found[metric].paper[0]) for metric in ("plcc", "srcc")]
            same.append((prefix + table.title, [text for pair in pairs for text in pair]))
        elif table.number != 3:  # its models were trained on LSVQ
            theirs = {c.dataset: c.paper[0] for c in other_columns(table) if c.metric == "srcc"}
            others.append((prefix + table.title, found["srcc"].ours[0], theirs))
    datasets = list(dict.fromkeys(name for _, _, theirs in others for name in theirs))
    sources = ("here", "in the paper")
    networks = (
        " and ".join(run.config["features"][s] for s in ("quality", "semantic"))
        for run, _, _ in compared
    )
    return {
        "networks": "; ".join(dict.fromkeys(networks)),
        "other_data": OTHER_DATA,
        "same": {
            "headings": [
                "Table and row",
                *(f"{METRIC_TITLES[m]} {source}" for m in ("plcc", "srcc") for source in sources),
            ],
            "rows": same,
        },
        "others": {
            "headings": ["Table and row", "here", *datasets],
            "rows": [
                (name, [ours, *(theirs.get(each, "–") for each in datasets)])
                for name, ours, theirs in others
            ],
        },
    }


def run_section(run: Run, examples: Examples, name: str, key: str, with_models: bool) -> Context:
    """Return a run's figures, examples and provenance; `key` is unique on the page."""
    results = run.results
    median = results["models"][results["model"]]["summary"]["srcc"]["median"]
    models = None
    if with_models and len(results["models"]) > 1:
        models = table_context(make_table.of_models(RunResults(run.path, results)))
    return {
        "key": key,
        "name": name,
        "aside": f"SRCC {format_value(median, 'srcc')} on {run.dataset} · {run.path}",
        "label": run.label,
        "figures": [_scatter(run, f"{key}-scatter"), _curves(run, f"{key}-curves")],
        "models": models,
        "models_ours": model_title(results["model"]),
        "comparisons": protocol.comparison_lines(results),
        "groups": _groups(run),
        "reason_no_groups": run.reason_no_videos,
        "pooling": run.config.get("model", {}).get("pooling", ""),
        "reason_no_examples": examples.reason_missing,
        "examples": _examples(examples, run.label, key),
        "made": _made(run.environment),
        "provenance": {
            "Configuration": list(flatten(run.config)),
            "Environment and weights": list(flatten(run.environment)),
            "SHA-256 of the run's files": list(flatten(run.hashes)),
        },
    }


def _scatter(run: Run, key: str) -> Context:
    """Return the plot of scores against labels, with a colour for each content if they are few."""
    rows = run.predictions
    scores, mos = [row.score for row in rows], [row.mos for row in rows]
    digits = len(str(len(run.splits) - 1))
    groups, kind = [f"split {row.split:0{digits}d}" for row in rows], "split"
    if run.videos:
        contents = [run.videos[row.video].reference_id for row in rows]
        if 1 < len(set(contents)) <= len(plots.GROUP_COLOURS):
            groups, kind = contents, "content"
    svg = plots.scatter(scores, mos, groups, fit_logistic(scores, mos), run.label, key)
    caption = f"Predicted and true {run.label}: the test sets of all splits together"
    if len(set(groups)) <= len(plots.GROUP_COLOURS):
        caption += f", one colour for each {kind}"
    return {"svg": svg, "caption": f"{caption}."}


def _curves(run: Run, key: str) -> Context:
    caption = "Mean over the splits; the band is one standard deviation to either side."
    if not any(np.isfinite(row["val_srcc"]) for row in run.history):
        caption += " There is no validation set; a test set has no curve, as no epoch is to be chosen by it."
    return {"svg": plots.learning_curves(run.history, key), "caption": caption}


def _groups(run: Run) -> list[Context]:
    """Return the SRCC by distortion and by content, where the data set has these."""
    kinds = {
        "distortion": {name: video.distortion for name, video in run.videos.items()},
        "content": {name: video.reference_id for name, video in run.videos.items()},
    }
    found = []
    for kind, group_of in kinds.items():
        if not any(group_of.values()):
            continue
        groups = predictions.srcc_by_group(run.predictions, group_of)
        large = [group for group in groups if group.videos >= MIN_POINTS]
        rows = [
            (g.name or "–", [str(g.videos), str(g.predictions), format_value(g.srcc, "srcc")])
            for g in large
        ]
        found.append(
            {
                "kind": kind,
                "headings": [kind.capitalize(), "Videos", "Predictions", METRIC_TITLES["srcc"]],
                "rows": rows,
                "num_small": len(groups) - len(large),
                "min_videos": MIN_POINTS,
            }
        )
    return found


def _examples(shown: Examples, label: str, key: str) -> list[Context]:
    """Return the best and the worst predictions."""
    both = [*shown.best, *shown.worst]
    if not both:
        return []
    # One range for all timelines, so that they can be compared.
    values = np.concatenate(
        [[*each.frame_scores, each.prediction.mos, each.prediction.score] for each in both]
    )
    margin = 0.06 * max(float(np.ptp(values)), 1e-6)
    limits = float(values.min()) - margin, float(values.max()) + margin
    of_groups = f"The smallest errors, one from each group of videos with similar {label}."

    def group(title: str, note: str, examples: Sequence[Example]) -> Context:
        cards = [_card(e, limits, label, f"{key}-{title[0]}{i}") for i, e in enumerate(examples)]
        return {"title": title, "note": note, "cards": cards}

    return [
        group("Best predictions", of_groups, shown.best),
        group("Worst predictions", "The largest errors in all test sets.", shown.worst),
    ]


def _card(example: Example, limits: tuple[float, float], label: str, key: str) -> Context:
    row = example.prediction
    return {
        "key": key,
        "example": row,
        "reason_no_preview": example.reason_no_preview,
        "error": f"{round(row.score - row.mos, 1) + 0.0:+.1f}".replace("-", "−"),
        "preview_s": PREVIEW_S,
        "frames": [
            (f"{seconds:.2f} s", _jpeg(frame), frame.shape) for seconds, frame in example.thumbnails
        ],
        "preview": base64.b64encode(example.preview).decode("ascii"),
        "svg": plots.timeline(example, limits, label, key),
    }


def _jpeg(frame_HxWx3: NDArray[np.uint8]) -> str:
    """Return an RGB frame, scaled down to a thumbnail, as a data URL."""
    image = Image.fromarray(frame_HxWx3)
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _made(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return when, where and by what a run was made, as far as it is recorded."""
    packages, seconds = environment.get("packages", {}), environment.get("seconds", {})
    number, device = environment.get("devices", 1), environment.get("device", "")
    commit = environment.get("commit", "")
    version = f"a2inet-jax {packages['a2inet-jax']}" if "a2inet-jax" in packages else ""
    found = {
        "Begun": environment.get("date", ""),
        "Device": f"{number} × {device}" if number > 1 else device,
        "Processor": environment.get("processor", ""),
        "Training of all heads": _duration(seconds.get("training")),
        "Evaluation": _duration(seconds.get("evaluation")),
        "Software": ", ".join(filter(None, [version, f"commit {commit}" if commit else ""])),
    }
    return [(name, text) for name, text in found.items() if text]


def _duration(seconds: float | None) -> str:
    """Return `1 h 02 min`, `3 min 20 s` or `4.2 s`; empty for None."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"


def flatten(values: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the leaves of nested JSON as dotted names and texts."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from flatten(value, f"{name}.{key}" if name else str(key))
    elif isinstance(values, list):
        yield name, ", ".join(str(value) for value in values)
    else:
        yield name, "–" if values is None or values == "" else str(values)
