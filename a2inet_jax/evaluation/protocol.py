"""The paper's protocol: metrics of each split, their median over the splits, and its uncertainty.

The texts of `remarks` and `comparison_lines` are kept in result files: they must stay as they are.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from a2inet_jax.datasets.splits import Split
from a2inet_jax.errors import RunError
from a2inet_jax.evaluation import predictions, uncertainty
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.metrics import Metrics

# Contents that a test set needs for its intervals to hold: see `uncertainty`.
MIN_CONTENTS = 15
METRIC_TITLES = {"srcc": "SRCC ↑", "plcc": "PLCC ↑", "krcc": "KRCC ↑", "rmse": "RMSE ↓"}
MODEL_TITLES = {
    "a2inet": "A2INet",
    "concat": "A2INet, concatenation for CAGI",
    "vsfa": "VSFA head",
    "svr": "SVR on mean-pooled features",
}
Summary = dict[str, dict[str, float]]
Results = Mapping[str, Any]  # the content of a metrics.json, as `results` returns it


@dataclass(frozen=True)
class EvaluatedDataset:
    """The data set, by its title, whose labels the scores are compared with.

    Attributes:
        videos: Number of its videos, or of those in its own test set if it has one.
        label: Name of the labels, such as "MOS" or "VMAF".
        note: Text for readers of the results; may be empty.
    """

    name: str
    videos: int
    label: str = "MOS"
    note: str = ""


def summarise(splits: Sequence[Metrics]) -> Summary:
    """Return median, mean, std (n − 1), min and max of each metric over the splits.

    A correlation that is undefined, because a model gave every video of a test set the same score, counts
    as 0 here: leaving it out would flatter the model. `undefined` is the number of such splits.
    """
    if not splits:
        raise ValueError("there are no splits to summarise")
    summary = {}
    for name in METRIC_TITLES:
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
    data: EvaluatedDataset,
    epoch_rule: str,
    contents: Mapping[str, str],
    splits: Sequence[Split],
    num_seeds: int = 1,
) -> dict[str, Any]:
    """Return the content of `metrics.json`: metrics, summaries and comparisons, rounded; NaN is null.

    Args:
        model: Name of the run's own model, which is compared with each of the others, its baselines.
        tested: Each model's predictions for the test sets of all splits and seeds.
        data: The data set.
        epoch_rule: `train.epoch_rule`.
        contents: Content (reference id) of each video.
        splits: Their sizes enter the comparisons.
        num_seeds: Ensemble members of each split.

    Raises:
        RunError: The models were not tested on the same videos, or a video's content is unknown.
    """
    if unknown := sorted({row.video for rows in tested.values() for row in rows} - contents.keys()):
        raise RunError(
            f"{len(unknown)} tested videos are not in {data.name} ({unknown[0]} is the first): "
            "train the run again"
        )
    draws = uncertainty.draw(contents[row.video] for row in tested[model])
    models = {}
    for name, rows in tested.items():
        measured = predictions.measure_members(rows)
        summary = summarise(measured)
        medians = uncertainty.bootstrap(uncertainty.scored_sets(rows, contents), draws)
        models[name] = {
            "splits": [asdict(metrics) for metrics in measured],
            "summary": summary,
            "interval": {
                key: uncertainty.interval(medians[key], summary[key]["median"], limits)
                for key, limits in uncertainty.LIMITS.items()
            },
        }
    return {
        "model": model,
        "seeds": num_seeds,
        "data": asdict(data),
        "epoch_rule": epoch_rule,
        "models": _rounded(models),
        "contents_tested": min(
            len({contents[row.video] for row in rows})
            for rows in predictions.by_member(tested[model])
        ),
        "paired": _rounded(
            {
                name: uncertainty.compare(tested[model], rows, contents, splits)
                for name, rows in tested.items()
                if name != model
            }
        ),
    }


def weighted_average(values: Mapping[str, float], videos: Mapping[str, int]) -> float:
    """Return the average over data sets, weighted by their numbers of videos, as W.A. in Table 2."""
    if not values or values.keys() != videos.keys() or min(videos.values()) < 1:
        raise ValueError(f"a weighted average needs videos of each of {sorted(values)}: {videos}")
    return sum(values[name] * videos[name] for name in values) / sum(videos.values())


def ordered_models(results: Results) -> dict[str, Any]:
    """Return the models of results: the run's own first, then in the order of `MODEL_TITLES`."""
    models = results["models"]
    order = [results["model"], *MODEL_TITLES, *sorted(models.keys() - MODEL_TITLES.keys())]
    return {name: models[name] for name in order if name in models}


def model_title(name: str) -> str:
    """Return the name of a model in tables and texts."""
    return MODEL_TITLES.get(name, name)


def num_decimals(metric: str, value: float) -> int:
    """Return the number of decimals that a metric is printed with: three for a correlation.

    An RMSE is in the unit of the labels: it has two, and below 1 as many as give three significant digits.
    """
    if metric != "rmse":
        return 3
    return 2 - math.floor(math.log10(value)) if 0 < value < 1 else 2


def format_value(value: float | None, metric: str, like: float | None = None) -> str:
    """Return a metric's value as text; a dash if it is undefined.

    Args:
        value: In the metric's unit.
        metric: One of `METRIC_TITLES`.
        like: Another value that sets the number of decimals, such as the median for its deviation.
    """
    if value is None or math.isnan(value):
        return "–"
    decimals = num_decimals(metric, value if like is None else like)
    rounded = round(value, decimals) + 0.0  # no −0
    return f"{rounded:.{decimals}f}".replace("-", "−")


def format_interval(bounds: Sequence[float] | None, metric: str, like: float | None = None) -> str:
    """Return an interval as `0.812–0.843`; a dash if there is none. `like` is as in `format_value`."""
    return "–".join(format_value(bound, metric, like) for bound in bounds) if bounds else "–"


def format_splits(num_splits: int, num_seeds: int) -> str:
    """Return "10 splits", or "10 splits × 3 seeds" if there are several seeds."""
    splits = "1 split" if num_splits == 1 else f"{num_splits} splits"
    return f"{splits} × {num_seeds} seeds" if num_seeds > 1 else splits


def remarks(results: Results) -> list[str]:
    """Return warnings for readers of the summaries: biases in favour of a model, and unusual splits."""
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
    if results.get("contents_tested", MIN_CONTENTS) < MIN_CONTENTS:
        found.append(
            f"95 % intervals are too narrow: a test part has {results['contents_tested']} contents, "
            f"where it takes {MIN_CONTENTS} or more for them to hold."
        )
    for name, model in ordered_models(results).items():
        splits, title = model["splits"], model_title(name)
        total = _member_count(len(splits), results["seeds"])
        undefined = sum(metrics["srcc"] is None for metrics in splits)
        logistics = [metrics["logistic"] for metrics in splits]
        failures = [each["reason"] for each in logistics if not each["converged"]]
        falling = sum(each["converged"] and each["b1"] < each["b2"] for each in logistics)
        if falling:
            found.append(
                f"{title}: the logistic falls in {falling} of {total}: scores run against the labels "
                "there, which SRCC tells and PLCC does not."
            )
        if undefined:
            found.append(
                f"{title}: all scores or all labels are equal in {undefined} of {total}: "
                "correlations count as 0 there."
            )
        if failures:
            found.append(
                f"{title}: no logistic could be fitted in {len(failures)} of {total} "
                f"({', '.join(sorted(set(failures)))}); PLCC and RMSE are of the scores as they are there."
            )
    return found


def comparison_lines(results: Results) -> list[str]:
    """Return a line on the run's model against each baseline."""
    return [
        uncertainty.comparison_line(
            model_title(results["model"]), model_title(name), results["paired"][name]
        )
        for name in ordered_models(results)
        if name in results["paired"]
    ]


def _member_count(num_members: int, num_seeds: int) -> str:
    """Return "10 splits" or "30 trainings (10 splits × 3 seeds)", as remarks count ensemble members."""
    if num_seeds > 1:
        return f"{num_members} trainings ({num_members // num_seeds} splits × {num_seeds} seeds)"
    return format_splits(num_members, 1)


def _scales(results: Results) -> str:
    """Return the remark on the label scales of a run that was trained on another data set."""
    data, ranges = results["data"], results["ranges"]
    trained, tested = ("{:.4g} to {:.4g}".format(*ranges[key]) for key in ("trained", "tested"))
    return (
        f"Trained on {results['trained_on']} (labels {trained}), tested on {data['name']} ({tested}). "
        f"SRCC and KRCC need no common scale; PLCC and RMSE are after a {results['mapping']}."
    )


def _rounded(value: Any) -> Any:
    """Round floats to six significant digits, at any depth; NaN becomes None."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.6g}")
    return value
