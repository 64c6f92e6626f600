"""Comparison of two models on the same splits: how far they differ, and whether by more than chance."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from a2inet_jax.datasets.splits import Split
from a2inet_jax.errors import RunError
from a2inet_jax.evaluation import predictions, uncertainty
from a2inet_jax.evaluation.predictions import Prediction

SIGNIFICANCE_LEVEL = 0.05


def compare(
    ours: Sequence[Prediction],
    theirs: Sequence[Prediction],
    contents: Mapping[str, str],
    splits: Sequence[Split],
) -> dict[str, Any]:
    """Compare the SRCC of two models; `uncertainty` says what each method covers.

    Args:
        ours: Test predictions of the first model.
        theirs: Test predictions of the second model.
        contents: Content (reference id) of each video.
        splits: The splits of both models.

    Returns:
        "difference" of the medians over the ensemble members; its bootstrap "interval", or None; "p" of
        the corrected resampled t-test, in which the seeds of a split are averaged, or None and the "reason".

    Raises:
        RunError: The models were not tested on the same videos and labels.
    """
    our_labels, their_labels = [
        {(row.split, row.video): row.mos for row in rows} for rows in (ours, theirs)
    ]
    # One of the runs may have stored its labels with fewer digits.
    if our_labels.keys() != their_labels.keys() or not all(
        math.isclose(mos, their_labels[key], rel_tol=1e-5) for key, mos in our_labels.items()
    ):
        raise RunError("two models were not tested on the same videos and labels: train them again")
    draws = uncertainty.draw(contents[row.video] for row in ours)
    resampled_medians, srcc_by_split = [], []
    for rows in (ours, theirs):
        scored_sets = predictions.scored_sets(rows, contents)
        resampled_medians.append(uncertainty.bootstrap(scored_sets, draws, ["srcc"])["srcc"])
        srcc_by_split.append(_srcc_by_split(rows))
    our_srcc, their_srcc = srcc_by_split
    our_median, their_median = (
        np.median([value for values in each.values() for value in values])
        for each in (our_srcc, their_srcc)
    )
    difference = our_median - their_median
    differences = [float(np.mean(our_srcc[n]) - np.mean(their_srcc[n])) for n in sorted(our_srcc)]
    # The validation set only chooses the epoch and nothing is fitted to it. Counting it would lower p.
    test_to_train = float(np.mean([len(split.test) / len(split.train) for split in splits]))
    p, reason = uncertainty.paired_test(differences, test_to_train)
    return {
        "difference": float(difference),
        "interval": uncertainty.interval(
            resampled_medians[0] - resampled_medians[1], difference, (-2.0, 2.0)
        ),
        "p": p,
        "reason": reason,
    }


def comparison_line(ours: str, theirs: str, found: Mapping[str, Any]) -> str:
    """Return the result of `compare` as a line of text.

    The first model is called better or worse if the interval excludes 0 and p is below 0.05 or missing.

    Args:
        ours: Name of the first model.
        theirs: Name of the second model.
        found: Return value of `compare`.
    """
    p, bounds = found["p"], found["interval"]
    items = [f"{found['difference']:+.3f} SRCC"]
    items += [f"95 % {bounds[0]:.3f} to {bounds[1]:.3f}"] if bounds else ["no interval"]
    if p is None:
        items.append(f"no p ({found['reason']})")
    else:
        items.append("p < 0.001" if p < 0.001 else f"p = {p:.2g}")
    verdict = "no difference shown"
    if bounds and not bounds[0] <= 0 <= bounds[1] and (p is None or p < SIGNIFICANCE_LEVEL):
        verdict = "better" if found["difference"] > 0 else "worse"
    return f"{ours} − {theirs}: {', '.join(items).replace('-', '−')}: {verdict}"


def _srcc_by_split(rows: Sequence[Prediction]) -> dict[int, list[float]]:
    """Return the SRCC of each split's members; 0 where it is undefined, as in the summary."""
    found: dict[int, list[float]] = {}
    members, measured = predictions.by_member(rows), predictions.measure_members(rows)
    for member_rows, metrics in zip(members, measured, strict=True):
        value = 0.0 if math.isnan(metrics.srcc) else metrics.srcc
        found.setdefault(member_rows[0].split, []).append(value)
    return found
