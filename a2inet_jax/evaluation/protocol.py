"""The protocol of the paper: metrics of each random split, and their median over the splits."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from a2inet_jax.evaluation.metrics import Metrics

METRICS = {"srcc": "SRCC ↑", "plcc": "PLCC ↑", "krcc": "KRCC ↑", "rmse": "RMSE ↓"}
TITLES = {
    "a2inet": "A2INet",
    "concat": "A2INet, concatenation for CAGI",
    "vsfa": "VSFA head",
    "svr": "SVR on mean-pooled features",
}
Summary = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Data:
    """What the scores are compared with.

    Attributes:
        name: name of the data set.
        videos: number of its videos.
        label: name of the labels, such as "MOS" or "VMAF".
        note: what a reader must know about them; may be empty.
    """

    name: str
    videos: int
    label: str = "MOS"
    note: str = ""


def summarise(splits: Sequence[Metrics]) -> Summary:
    """Median, mean, std (n − 1), min and max of each metric over the splits.

    A correlation that is not defined, because a model gave every video of a test part the same score,
    counts as 0 here: left out, it would flatter the model. `undefined` says for how many splits.
    """
    if not splits:
        raise ValueError("there are no splits to summarise")
    summary = {}
    for name in METRICS:
        values = np.array([getattr(metrics, name) for metrics in splits], np.float64)
        counted = np.nan_to_num(values, nan=0.0)
        summary[name] = {
            "median": float(np.median(counted)),
            "mean": float(np.mean(counted)),
            "std": float(np.std(counted, ddof=1)) if len(splits) > 1 else math.nan,
            "min": float(np.min(counted)),
            "max": float(np.max(counted)),
            "undefined": int(np.isnan(values).sum()),
        }
    return summary


def results(
    model: str,
    measured: Mapping[str, Sequence[Metrics]],
    data: Data,
    epoch_rule: str,
    seeds: int = 1,
) -> dict[str, Any]:
    """The content of `metrics.json`: each model's splits and their summary, rounded; NaN is null.

    Args:
        model: the one that the run is about; the others are baselines.
        measured: for each model the metrics of each split, and of each seed of it.
        data: what the scores are compared with.
        epoch_rule: which epoch is reported.
        seeds: trainings of each split.
    """
    return {
        "model": model,
        "seeds": seeds,
        "data": asdict(data),
        "epoch_rule": epoch_rule,
        "models": {
            name: {
                "splits": _rounded([asdict(metrics) for metrics in splits]),
                "summary": _rounded(summarise(splits)),
            }
            for name, splits in measured.items()
        },
    }


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Writes `results` as JSON with sorted keys, whole or not at all: same results, same bytes."""
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    aside = path.with_name(path.name + ".part")
    aside.write_text(text + "\n", encoding="utf-8")
    os.replace(aside, path)


def models(content: Mapping[str, Any]) -> dict[str, Any]:
    """The models of `results` or of a read `metrics.json`: the run's own, then in `TITLES`' order."""
    order = [content["model"], *TITLES, *sorted(content["models"].keys() - TITLES.keys())]
    return {name: content["models"][name] for name in order if name in content["models"]}


def title(name: str) -> str:
    """A model's name as people read it."""
    return TITLES.get(name, name)


def cell(summary: Mapping[str, Mapping[str, float | None]], metric: str) -> str:
    """A table's cell: `median (std)`, or the median alone if there is one split."""
    median, std = summary[metric]["median"], summary[metric]["std"]
    digits = 2 if metric == "rmse" else 3
    spread = "" if std is None or math.isnan(std) else f" ({std:.{digits}f})"
    return f"{median:.{digits}f}{spread}"


def best(summaries: Mapping[str, Mapping[str, Mapping[str, float]]], metric: str) -> set[str]:
    """The models whose median is the best as printed; all of them when they tie."""
    printed = {name: cell(s, metric).split()[0] for name, s in summaries.items()}
    pick = min if metric == "rmse" else max
    top = pick(printed.values(), key=float)
    return {name for name, text in printed.items() if text == top}


def remarks(content: Mapping[str, Any]) -> list[str]:
    """What a reader of the summaries must know: an optimistic rule, and splits that were not ordinary."""
    found = []
    if content["epoch_rule"] == "best_test":
        found.append(
            "The epoch was chosen by the test part's own SRCC: the numbers are optimistic."
        )
    for name, model in models(content).items():
        splits = model["splits"]
        number = trainings(len(splits), content["seeds"])
        undefined = sum(metrics["srcc"] is None for metrics in splits)
        unmapped = sum(not metrics["logistic"]["converged"] for metrics in splits)
        if undefined:
            found.append(
                f"{title(name)}: no order at all in {undefined} of {number}; the "
                f"correlations count as 0 there."
            )
        if unmapped:
            found.append(
                f"{title(name)}: no logistic could be fitted in {unmapped} of {number}; "
                f"PLCC and RMSE are of the scores as they are there."
            )
    return found


def trainings(number: int, seeds: int) -> str:
    """How many trainings there are, in words: "10 splits", or "30 trainings (10 splits × 3 seeds)"."""
    if seeds > 1:
        return f"{number} trainings ({number // seeds} splits × {seeds} seeds)"
    return "1 split" if number == 1 else f"{number} splits"


def table(content: Mapping[str, Any]) -> Table:
    """The models beside each other: median (std) over the splits, the best in bold."""
    summaries = {name: model["summary"] for name, model in models(content).items()}
    number = len(next(iter(content["models"].values()))["splits"])
    data = content["data"]
    splits = trainings(number, content["seeds"])
    shown = Table(
        title=f"{data['name']}, labels: {data['label']}; median (std) of {splits}",
        caption="\n".join([f"Epoch: {content['epoch_rule']}.", *remarks(content)]),
    )
    shown.add_column("Model")
    for heading in METRICS.values():
        shown.add_column(heading, justify="right")
    bold = {metric: best(summaries, metric) for metric in METRICS}
    for name, summary in summaries.items():
        cells = [cell(summary, metric) for metric in METRICS]
        marked = [
            f"[bold]{text}[/]" if name in bold[metric] else text
            for metric, text in zip(METRICS, cells, strict=True)
        ]
        shown.add_row(title(name), *marked)
    return shown


def _rounded(value: Any) -> Any:
    """Floats to six significant digits; NaN becomes None."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.6g}")
    return value
