"""A run folder as one self-contained page: results, baselines, curves, cases, and what made them."""

import csv
import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from a2inet_jax.datasets import splits as split_files
from a2inet_jax.evaluation import markup, plots, predictions, protocol
from a2inet_jax.evaluation.cases import Clip
from a2inet_jax.evaluation.metrics import fit_logistic
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.evaluation.protocol import METRICS, title

CURVES = ("epoch", "train_loss", "val_srcc")
HASHED = ("splits.json", "config.json", "metrics.json", "predictions.csv", "model.safetensors")


def write(run: Path, best: Sequence[Clip], worst: Sequence[Clip]) -> Path:
    """Writes `report.html` into a run folder from the files that are in it.

    The page asks nothing of the network and needs no scripts. The same run gives the same bytes.

    Args:
        run: folder with config.json, environment.json, splits.json, metrics.json, predictions.csv and
            the model's own metrics.csv.
        best: clips to show as well predicted.
        worst: clips to show as badly predicted.

    Returns:
        The page's path.

    Raises:
        FileNotFoundError: a file is missing from the run folder; the message names it.
        ValueError: a file cannot be read.
    """
    results = _json(run / "metrics.json")
    config, environment = _json(run / "config.json"), _json(run / "environment.json")
    history = _history(_existing(run / results["model"] / "metrics.csv"))
    tested = predictions.read(run / "predictions.csv")
    parts = split_files.read(_existing(run / "splits.json"))

    data = results["data"]
    sizes = [[len(getattr(s, part)) for s in parts] for part in ("train", "validation", "test")]
    text = Template(resources.files(__package__).joinpath("page.html").read_text("utf-8"))
    page = text.substitute(
        title=markup.text(f"{title(results['model'])} on the {data['name']} data set"),
        lead=markup.text(_lead(results, len(parts), sizes)),
        notes="".join(
            markup.note(note) for note in [data["note"], *protocol.remarks(results)] if note
        ),
        tiles=_tiles(results),
        comparison=_comparison(results),
        comparison_note=markup.text(
            "Median (standard deviation) over the test parts of "
            f"{protocol.trainings(len(parts) * results['seeds'], results['seeds'])}, the same for "
            f"every model; best in bold. PLCC and RMSE after the four-parameter logistic. RMSE is in "
            f"units of {data['label']}."
        ),
        per_split=_per_split(results, _trainings(tested)),
        per_split_note=_per_split_note(results, _trainings(tested)),
        figures=_figures(results, tested, history),
        best_note=markup.text(
            f"The smallest errors, one from each equal part of the range of {data['label']}."
        ),
        worst_note="The largest errors of all test parts.",
        best=_clips(best, best, worst, data["label"]),
        worst=_clips(worst, best, worst, data["label"]),
        provenance=_provenance(run, config, environment),
    )
    path = run / "report.html"
    aside = path.with_name(path.name + ".part")
    aside.write_text(page, encoding="utf-8")
    os.replace(aside, path)
    return path


def _lead(results: Mapping[str, Any], number: int, sizes: Sequence[Sequence[int]]) -> str:
    data = results["data"]
    train, validation, test = (markup.span(part) for part in sizes)
    held = f" and {validation} for validation" if any(sizes[1]) else ""
    summaries = {name: model["summary"] for name, model in protocol.models(results).items()}
    ours = summaries.pop(results["model"])["srcc"]["median"]
    sentence = (
        f"Trained to predict {data['label']} from frozen backbones' features of {data['videos']} "
        f"videos. {number} random splits with disjoint contents: {train} videos for training{held}, "
        f"{test} for the test. Median SRCC on the test parts: {ours:.3f}"
    )
    if not summaries:
        return sentence + "."
    rival = max(summaries, key=lambda name: summaries[name]["srcc"]["median"])
    theirs = summaries[rival]["srcc"]["median"]
    return f"{sentence}. The best of the baselines ({title(rival)}): {theirs:.3f}."


def _tiles(results: Mapping[str, Any]) -> str:
    tiles = []
    for metric, heading in METRICS.items():
        summary = results["models"][results["model"]]["summary"][metric]
        digits = 2 if metric == "rmse" else 3
        low, high = (f"{summary[key]:.{digits}f}" for key in ("min", "max"))
        std = "" if summary["std"] is None else f" ± {summary['std']:.{digits}f}"
        kind = "tile main" if metric == "srcc" else "tile"
        tiles.append(
            f'<div class="{kind}"><span>median {heading.split()[0]}</span>'
            f"<b>{summary['median']:.{digits}f}</b><span>{std} · {low} to {high}</span></div>"
        )
    return "".join(tiles)


def _comparison(results: Mapping[str, Any]) -> str:
    summaries = {name: model["summary"] for name, model in protocol.models(results).items()}
    best = {metric: protocol.best(summaries, metric) for metric in METRICS}
    rows = [
        (
            title(name),
            [(protocol.cell(summary, metric), name in best[metric]) for metric in METRICS],
            name == results["model"],
        )
        for name, summary in summaries.items()
    ]
    return markup.table(["Model", *METRICS.values()], rows)


def _trainings(tested: Iterable[Prediction]) -> list[str]:
    """Names of the trainings: the splits' numbers, with the seeds if there are several."""
    found = sorted({(row.split, row.seed) for row in tested})
    if len({seed for _, seed in found}) == 1:
        return [str(split) for split, _ in found]
    return [f"{split}, seed {seed}" for split, seed in found]


def _per_split(results: Mapping[str, Any], trainings: Sequence[str]) -> str:
    models = protocol.models(results)
    others = [name for name in models if name != results["model"]]
    heads = [
        "Split",
        "Videos",
        *(f"{title(results['model'])} {heading}" for heading in METRICS.values()),
    ]
    heads += [f"{title(name)} SRCC" for name in others]
    rows = []
    for number, training in enumerate(trainings):
        ours = models[results["model"]]["splits"][number]
        mark = "" if ours["logistic"]["converged"] else " †"
        cells = [str(ours["n"])]
        for metric in METRICS:
            digits = 2 if metric == "rmse" else 3
            cells.append(markup.number(ours[metric], digits) + mark * (metric in ("plcc", "rmse")))
        cells += [markup.number(models[name]["splits"][number]["srcc"], 3) for name in others]
        rows.append((training, [(cell, False) for cell in cells], False))
    return markup.table(heads, rows)


def _per_split_note(results: Mapping[str, Any], trainings: Sequence[str]) -> str:
    failed = [
        f"{training}: {metrics['logistic']['reason']}"
        for training, metrics in zip(trainings, results["models"][results["model"]]["splits"])
        if not metrics["logistic"]["converged"]
    ]
    note = f"† no logistic could be fitted (split {'; '.join(failed)}): scores as they are."
    return f'<p class="muted">{markup.text(note)}</p>' if failed else ""


def _figures(
    results: Mapping[str, Any], tested: Sequence[Prediction], history: Sequence[Mapping[str, float]]
) -> str:
    label = results["data"]["label"]
    scores, mos = [row.score for row in tested], [row.mos for row in tested]
    values = {
        title(name): [s["srcc"] or 0.0 for s in model["splits"]]
        for name, model in protocol.models(results).items()
    }
    return "".join(
        (
            markup.figure(
                plots.scatter(scores, mos, fit_logistic(scores, mos), label),
                f"Predicted score against {label}: the test parts of all splits together.",
            ),
            markup.figure(
                plots.learning_curves(history),
                "Mean over the splits; the band is one standard deviation to either side.",
            ),
            markup.figure(
                plots.spread(values, "SRCC"),
                "The same splits for every model, one dot each.",
                wide=True,
            ),
        )
    )


def _clips(clips: Iterable[Clip], best: Sequence[Clip], worst: Sequence[Clip], label: str) -> str:
    # One range for all timelines, so that they can be compared.
    shown = [*best, *worst]
    if not shown:
        return ""
    values = np.concatenate([[*clip.frame_scores, clip.mos, clip.score] for clip in shown])
    margin = 0.06 * max(float(np.ptp(values)), 1e-6)
    limits = float(values.min()) - margin, float(values.max()) + margin
    return "".join(markup.clip(clip, limits, label) for clip in clips)


def _provenance(run: Path, config: Any, environment: Any) -> str:
    hashes = {
        name: hashlib.sha256((run / name).read_bytes()).hexdigest()
        for name in HASHED
        if (run / name).is_file()
    }
    sections = {
        "Configuration": markup.facts(config),
        "Environment and weights": markup.facts(environment),
        "SHA-256 of the run's files": markup.facts(hashes),
    }
    return "".join(
        f'<details><summary>{heading}</summary><div class="scroll">{table}</div></details>'
        for heading, table in sections.items()
    )


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: train and evaluate the run, then report it")
    return path


def _json(path: Path) -> Any:
    try:
        return json.loads(_existing(path).read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}): delete it and run again") from None


def _history(path: Path) -> list[dict[str, float]]:
    with path.open(encoding="utf-8", newline="") as file:
        try:
            return [
                {name: float(row[name] or math.nan) for name in CURVES}
                for row in csv.DictReader(file)
            ]
        except (KeyError, ValueError) as error:
            raise ValueError(f"{path} needs numbers in its columns {CURVES}: {error}") from None
