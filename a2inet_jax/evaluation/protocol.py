"""The protocol of the paper: metrics of each split, their median over the splits, and how sure they are."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from a2inet_jax import atomic
from a2inet_jax.datasets.splits import Split
from a2inet_jax.evaluation import paired, predictions, uncertainty
from a2inet_jax.evaluation.metrics import Metrics
from a2inet_jax.evaluation.predictions import Prediction

# Of a test part, for intervals to hold: see `uncertainty`.
FEW_CONTENTS = 15
METRICS = {"srcc": "SRCC ↑", "plcc": "PLCC ↑", "krcc": "KRCC ↑", "rmse": "RMSE ↓"}
TITLES = {
    "a2inet": "A2INet",
    "concat": "A2INet, concatenation for CAGI",
    "vsfa": "VSFA head",
    "svr": "SVR on mean-pooled features",
}
Summary = dict[str, dict[str, float]]
Results = Mapping[str, Any]  # of a metrics.json, as `results` makes them


@dataclass(frozen=True)
class Data:
    """What the scores are compared with.

    Attributes:
        name: title of the data set.
        videos: number of its videos; of its test part, if it has one of its own.
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
    tested: Mapping[str, Sequence[Prediction]],
    data: Data,
    epoch_rule: str,
    contents: Mapping[str, str],
    parts: Sequence[Split],
    seeds: int = 1,
) -> dict[str, Any]:
    """What `metrics.json` holds: metrics, summaries and comparisons, rounded; NaN is null.

    Args:
        model: the one that the run is about; the others are baselines, and it is compared with each.
        tested: for each model what it said of each split's test part, and with each seed.
        data: what the scores are compared with.
        epoch_rule: which epoch is reported.
        contents: content (reference id) of each video.
        parts: the splits, of which the comparisons need the sizes.
        seeds: trainings of each split.

    Raises:
        ValueError: the models were not tested on the same videos, or a video's content is not known.
    """
    if unknown := sorted({row.video for rows in tested.values() for row in rows} - contents.keys()):
        raise ValueError(
            f"{len(unknown)} videos that were tested are not in {data.name}, {unknown[0]} the first: "
            "train again"
        )
    draws = uncertainty.draw(contents[row.video] for row in tested[model])
    models = {}
    for name, rows in tested.items():
        splits = predictions.measure_splits(rows)
        summary = summarise(splits)
        medians = uncertainty.bootstrap(predictions.parts(rows, contents), draws)
        models[name] = {
            "splits": _rounded([asdict(metrics) for metrics in splits]),
            "summary": _rounded(summary),
            "interval": _rounded(
                {
                    key: uncertainty.interval(medians[key], summary[key]["median"], limits)
                    for key, limits in uncertainty.LIMITS.items()
                }
            ),
        }
    return {
        "model": model,
        "seeds": seeds,
        "data": asdict(data),
        "epoch_rule": epoch_rule,
        "models": models,
        "contents_tested": min(
            len({contents[row.video] for row in part})
            for part in predictions.by_training(tested[model])
        ),
        "paired": {
            name: _rounded(paired.compare(tested[model], rows, contents, parts))
            for name, rows in tested.items()
            if name != model
        },
    }


def weighted_average(values: Mapping[str, float], videos: Mapping[str, int]) -> float:
    """Average over data sets, each weighted by the number of its videos, as Table 2's W.A."""
    if not values or values.keys() != videos.keys() or min(videos.values()) < 1:
        raise ValueError(f"a weighted average needs videos of each of {sorted(values)}: {videos}")
    return sum(values[name] * videos[name] for name in values) / sum(videos.values())


def write(path: Path, results: Results) -> None:
    """Writes results as JSON with sorted keys, whole or not at all: same results, same bytes.

    Raises:
        FolderError: the file can't be written.
    """
    text = json.dumps(results, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    atomic.write(path, (text + "\n").encode())


def models(results: Results) -> dict[str, Any]:
    """The models of results: the run's own, then in `TITLES`' order."""
    order = [results["model"], *TITLES, *sorted(results["models"].keys() - TITLES.keys())]
    return {name: results["models"][name] for name in order if name in results["models"]}


def title(name: str) -> str:
    """A model's name as people read it."""
    return TITLES.get(name, name)


def digits(metric: str, value: float) -> int:
    """Digits behind the point that a metric is shown with: three of a correlation.

    An RMSE is in the unit of the labels: it has two, and more below 1, so that three tell.
    """
    if metric != "rmse":
        return 3
    return 2 - math.floor(math.log10(value)) if 0 < value < 1 else 2


def shown(value: float | None, metric: str, beside: float | None = None) -> str:
    """A metric's value as people read it; a dash where it is not defined.

    Args:
        value: to be shown.
        metric: its name.
        beside: the value whose digits it takes: that of which it is the deviation, or an end of the interval.
    """
    if value is None or math.isnan(value):
        return "–"
    places = digits(metric, value if beside is None else beside)
    rounded = round(value, places) + 0.0  # no −0
    return f"{rounded:.{places}f}".replace("-", "−")


def interval(bounds: Sequence[float] | None, metric: str, beside: float | None = None) -> str:
    """The interval of a metric's median, `0.812–0.843`, with the digits of that; a dash if there is none."""
    return "–".join(shown(bound, metric, beside) for bound in bounds) if bounds else "–"


def remarks(results: Results) -> list[str]:
    """What a reader of the summaries must know: what flatters a model, and splits that were not ordinary."""
    found = []
    if results["epoch_rule"] == "best_test":
        found.append(
            "The epoch was chosen by the test part's own SRCC: the numbers are optimistic."
        )
    if results.get("parted"):
        found.append(
            f"{results['parted']} of {results['contents']} contents have videos in two parts of a split, "
            "so that the numbers may be optimistic."
        )
    if "trained_on" in results:
        found.append(_scales(results))
    if results.get("known"):
        found.append(
            f"{results['known']} of {results['data']['videos']} videos tested are of the data set "
            "trained on, so that the numbers are optimistic."
        )
    if results.get("contents_tested", FEW_CONTENTS) < FEW_CONTENTS:
        found.append(
            f"95 % intervals are too narrow: a test part has {results['contents_tested']} contents, "
            f"where it takes {FEW_CONTENTS} or more for them to hold."
        )
    for name, model in models(results).items():
        splits = model["splits"]
        number = trainings(len(splits), results["seeds"])
        undefined = sum(metrics["srcc"] is None for metrics in splits)
        logistics = [metrics["logistic"] for metrics in splits]
        unmapped = [each["reason"] for each in logistics if not each["converged"]]
        falling = sum(each["converged"] and each["b1"] < each["b2"] for each in logistics)
        if falling:
            found.append(
                f"{title(name)}: the logistic falls in {falling} of {number}: scores run against the labels "
                "there, which SRCC tells and PLCC does not."
            )
        if undefined:
            found.append(
                f"{title(name)}: all scores or all labels are equal in {undefined} of {number}: "
                "correlations count as 0 there."
            )
        if unmapped:
            found.append(
                f"{title(name)}: no logistic could be fitted in {len(unmapped)} of {number} "
                f"({', '.join(sorted(set(unmapped)))}); PLCC and RMSE are of the scores as they are there."
            )
    return found


def comparisons(results: Results) -> list[str]:
    """The run's model against each other one, in words."""
    return [
        paired.in_words(title(results["model"]), title(name), results["paired"][name])
        for name in models(results)
        if name in results["paired"]
    ]


def trainings(number: int, seeds: int) -> str:
    """How many trainings there are, in words: "10 splits", or "30 trainings (10 splits × 3 seeds)"."""
    if seeds > 1:
        return f"{number} trainings ({number // seeds} splits × {seeds} seeds)"
    return "1 split" if number == 1 else f"{number} splits"


def _scales(results: Results) -> str:
    """What became of the scale of scores that were learned on another data set."""
    data, ranges = results["data"], results["ranges"]
    learned, tested = ("{:.4g} to {:.4g}".format(*ranges[key]) for key in ("trained", "tested"))
    return (
        f"Trained on {results['trained_on']} (labels {learned}), tested on {data['name']} ({tested}). "
        f"SRCC and KRCC need no common scale; PLCC and RMSE are after a {results['mapping']}."
    )


def _rounded(value: Any) -> Any:
    """Floats to six significant digits; NaN becomes None."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.6g}")
    return value
