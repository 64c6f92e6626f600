"""Two models on the same splits: how far they differ, and whether that shows more than chance."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from a2inet_jax.datasets.splits import Split
from a2inet_jax.evaluation import predictions, uncertainty
from a2inet_jax.evaluation.predictions import Prediction

SIGNIFICANT = 0.05


def compare(
    ours: Sequence[Prediction],
    theirs: Sequence[Prediction],
    contents: Mapping[str, str],
    splits: Sequence[Split],
) -> dict[str, Any]:
    """SRCC of one model less that of another; `uncertainty` says what is covered.

    Args:
        ours: what the one said of the test parts.
        theirs: what the other said of them.
        contents: content (reference id) of each video.
        splits: of both.

    Returns:
        "difference" of the medians over the trainings; its bootstrap "interval", or None; "p" of the
        corrected resampled t-test, in which the seeds of a split are averaged, or None and the "reason".

    Raises:
        ValueError: they were not tested on the same videos.
    """
    labels = [{(row.split, row.video): row.mos for row in rows} for rows in (ours, theirs)]
    one, other = labels
    # Labels may have been written with fewer digits by the one run.
    if one.keys() != other.keys() or not all(
        math.isclose(mos, other[key], rel_tol=1e-5) for key, mos in one.items()
    ):
        raise ValueError(
            "two models were not tested on the same videos and labels: train them again"
        )
    draws = uncertainty.draw(contents[row.video] for row in ours)
    medians, values = [], []
    for rows in (ours, theirs):
        tested = predictions.parts(rows, contents)
        medians.append(uncertainty.bootstrap(tested, draws, ["srcc"])["srcc"])
        values.append(_srcc_by_split(rows))
    first, second = (np.median([v for split in each.values() for v in split]) for each in values)
    differences = [float(np.mean(values[0][n]) - np.mean(values[1][n])) for n in sorted(values[0])]
    # A validation part chooses the epoch, and nothing is fitted to it: not counted, p is larger.
    ratio = float(np.mean([len(split.test) / len(split.train) for split in splits]))
    p, reason = uncertainty.paired_test(differences, ratio)
    return {
        "difference": float(first - second),
        "interval": uncertainty.interval(medians[0] - medians[1], first - second, (-2.0, 2.0)),
        "p": p,
        "reason": reason,
    }


def in_words(ours: str, theirs: str, found: Mapping[str, Any]) -> str:
    """What `compare` found, as a line.

    A difference is shown where its interval leaves out 0 and p is below 0.05, or there is no p.
    """
    p, bounds = found["p"], found["interval"]
    facts = [f"{found['difference']:+.3f} SRCC"]
    facts += [f"95 % {bounds[0]:.3f} to {bounds[1]:.3f}"] if bounds else ["no interval"]
    if p is None:
        facts.append(f"no p ({found['reason']})")
    else:
        facts.append("p < 0.001" if p < 0.001 else f"p = {p:.2g}")
    verdict = "no difference shown"
    if bounds and not bounds[0] <= 0 <= bounds[1] and (p is None or p < SIGNIFICANT):
        verdict = "better" if found["difference"] > 0 else "worse"
    return f"{ours} − {theirs}: {', '.join(facts).replace('-', '−')}: {verdict}"


def _srcc_by_split(rows: Sequence[Prediction]) -> dict[int, list[float]]:
    """SRCC of each split's trainings; 0 where it is not defined, as in the summary."""
    found: dict[int, list[float]] = {}
    trainings, measured = predictions.by_training(rows), predictions.measure_splits(rows)
    for training, metrics in zip(trainings, measured, strict=True):
        value = 0.0 if math.isnan(metrics.srcc) else metrics.srcc
        found.setdefault(training[0].split, []).append(value)
    return found
