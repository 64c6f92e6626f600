"""Comparison of two models on the same splits."""

from collections.abc import Sequence

import numpy as np
import pytest

from a2inet_jax.datasets.splits import Split
from a2inet_jax.errors import RunError
from a2inet_jax.evaluation import paired, predictions, uncertainty
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.metrics import srcc

IDS = [f"v{n:02}" for n in range(60)]
CONTENTS = {video: f"c{int(video[1:]) // 2}" for video in IDS}
MOS = {video: float(n) for n, video in enumerate(IDS)}


def make_splits(number: int) -> list[Split]:
    splits = []
    for n in range(number):
        order = np.random.default_rng(n).permutation(30)
        ids = [IDS[2 * k + i] for k in order for i in range(2)]
        splits.append(Split(tuple(ids[20:]), (), tuple(ids[:20])))
    return splits


def make_predictions(
    splits: Sequence[Split], noise: float, seeds: Sequence[int] = (0,)
) -> list[Prediction]:
    rng = np.random.default_rng(int(10 * noise))
    return [
        Prediction(n, video, MOS[video], MOS[video] + rng.normal(0, noise), seed)
        for n, split in enumerate(splits)
        for seed in seeds
        for video in split.test
    ]


def test_comparison_against_an_independent_computation() -> None:
    splits = make_splits(6)
    ours, theirs = make_predictions(splits, 5), make_predictions(splits, 20)
    found = paired.compare(ours, theirs, CONTENTS, splits)

    def values(rows: Sequence[Prediction]) -> np.ndarray:
        by_split = [[row for row in rows if row.split == n] for n in range(6)]
        return np.array([srcc([r.score for r in each], [r.mos for r in each]) for each in by_split])

    our_srcc, their_srcc = values(ours), values(theirs)
    assert found["difference"] == pytest.approx(np.median(our_srcc) - np.median(their_srcc))
    assert (found["p"], found["reason"]) == uncertainty.paired_test(
        list(our_srcc - their_srcc), 20 / 40
    )
    draws = uncertainty.draw(CONTENTS[row.video] for row in ours)
    medians = [
        uncertainty.bootstrap(predictions.scored_sets(rows, CONTENTS), draws)["srcc"]
        for rows in (ours, theirs)
    ]
    assert found["interval"] == uncertainty.interval(
        medians[0] - medians[1], found["difference"], (-2.0, 2.0)
    )
    assert found["interval"][0] > 0  # ours has much less noise
    assert found["p"] < 0.05
    swapped = paired.compare(theirs, ours, CONTENTS, splits)
    assert swapped["difference"] == pytest.approx(-found["difference"])
    assert swapped["p"] == pytest.approx(found["p"])


def test_seeds_of_a_split_are_averaged() -> None:
    splits = make_splits(4)
    ours, theirs = make_predictions(splits, 8), make_predictions(splits, 10)
    once = paired.compare(ours, theirs, CONTENTS, splits)
    two_seeds = [row._replace(seed=seed) for row in ours for seed in (0, 1)]
    again = paired.compare(two_seeds, theirs, CONTENTS, splits)
    assert again["p"] == pytest.approx(once["p"])


def test_constant_scores_count_as_srcc_0() -> None:
    splits = make_splits(3)
    ours = make_predictions(splits, 5)
    found = paired.compare(ours, [row._replace(score=1.0) for row in ours], CONTENTS, splits)
    medians = [metrics.srcc for metrics in predictions.measure_members(ours)]
    assert found["difference"] == pytest.approx(np.median(medians))


def test_one_split_has_an_interval_but_no_p() -> None:
    splits = make_splits(1)
    found = paired.compare(
        make_predictions(splits, 2), make_predictions(splits, 40), CONTENTS, splits
    )
    assert found["p"] is None
    assert found["reason"] == "the test needs two splits or more"
    assert found["interval"][0] > 0


def test_different_videos_or_labels_are_an_error() -> None:
    splits = make_splits(2)
    rows = make_predictions(splits, 5)
    for other in (rows[1:], [rows[0]._replace(mos=-1.0), *rows[1:]]):
        with pytest.raises(RunError, match="same videos"):
            paired.compare(rows, other, CONTENTS, splits)


@pytest.mark.parametrize(
    ("difference", "interval", "p", "expected"),
    [
        (
            0.0234,
            (-0.01, 0.05),
            0.4,
            "+0.023 SRCC, 95 % −0.010 to 0.050, p = 0.4: no difference shown",
        ),
        (0.03, (0.01, 0.05), 0.0123, "+0.030 SRCC, 95 % 0.010 to 0.050, p = 0.012: better"),
        (-0.03, (-0.05, -0.01), 1e-5, "−0.030 SRCC, 95 % −0.050 to −0.010, p < 0.001: worse"),
        (
            0.03,
            (0.01, 0.05),
            0.06,
            "+0.030 SRCC, 95 % 0.010 to 0.050, p = 0.06: no difference shown",
        ),
        (
            0.03,
            (-0.01, 0.05),
            0.01,
            "+0.030 SRCC, 95 % −0.010 to 0.050, p = 0.01: no difference shown",
        ),
        (0.03, (0.01, 0.05), None, "+0.030 SRCC, 95 % 0.010 to 0.050, no p (one split): better"),
        (0.03, None, 0.01, "+0.030 SRCC, no interval, p = 0.01: no difference shown"),
    ],
)
def test_comparison_line(
    difference: float, interval: tuple[float, float] | None, p: float | None, expected: str
) -> None:
    found = {"difference": difference, "interval": interval, "p": p, "reason": "one split"}
    assert paired.comparison_line("A", "B", found) == f"A − B: {expected}"
