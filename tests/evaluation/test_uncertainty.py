"""Intervals against resamples written out video by video, coverage and level of both methods, comparisons."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from a2inet_jax import metrics
from a2inet_jax.datasets.splits import Split
from a2inet_jax.errors import RunError
from a2inet_jax.evaluation import predictions, uncertainty
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.evaluation.uncertainty import METRICS, ScoredSet

IDS = [f"v{n:02}" for n in range(60)]
CONTENTS = {video: f"c{int(video[1:]) // 2}" for video in IDS}
MOS = {video: float(n) for n, video in enumerate(IDS)}


def make_set(seed: int, contents: int = 8, each: int = 4, levels: int = 12) -> ScoredSet:
    """Return a test set with ties in scores and labels."""
    rng = np.random.default_rng(seed)
    mos = 5 * rng.integers(0, levels, contents * each).astype(np.float64)
    scores = np.round(mos / 10 + rng.normal(0, 2, mos.size), 1)
    return ScoredSet(scores, mos, np.repeat([f"c{n}" for n in range(contents)], each).tolist())


def written_out(scored: ScoredSet, draws: uncertainty.Draws, index: int) -> dict[str, float]:
    """Return a resample's metrics by SciPy, with every video repeated as often as it is drawn."""
    times = np.array([int(draws[content][index]) for content in scored.contents])
    x, y = np.repeat(scored.scores, times), np.repeat(scored.mos, times)
    mapped = metrics.fit_logistic(scored.scores, scored.mos)(x)
    return {
        "srcc": stats.spearmanr(x, y).statistic,
        "plcc": stats.pearsonr(mapped, y).statistic,
        "krcc": stats.kendalltau(x, y).statistic,
        "rmse": math.sqrt(np.mean((mapped - y) ** 2)),
    }


@pytest.mark.parametrize("block", [5, 1024])
def test_bootstrap_equals_resamples_that_are_written_out(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uncertainty, "_BLOCK", block)
    sets = [make_set(seed) for seed in range(3)]
    draws = uncertainty.draw(sets[0].contents, 20)
    found = uncertainty.bootstrap(sets, draws)
    for index in range(20):
        expected = [written_out(each, draws, index) for each in sets]
        for name in METRICS:
            median = np.median([each[name] for each in expected])
            assert found[name][index] == pytest.approx(median, abs=1e-12)


def test_draws_depend_on_contents_and_seed_alone() -> None:
    draws = uncertainty.draw(["b", "a", "c", "a"], 500)
    again = uncertainty.draw(["a", "c", "b"], 500)
    assert list(draws) == ["a", "b", "c"]
    for name in draws:
        np.testing.assert_array_equal(draws[name], again[name])
    np.testing.assert_array_equal(sum(draws.values()), np.full(500, 3))
    assert all(times.mean() == pytest.approx(1, abs=0.1) for times in draws.values())
    other = uncertainty.draw(["a", "b", "c"], 500, seed=1)
    assert (other["a"] != draws["a"]).any()


def test_constant_scores_count_as_0_and_constant_labels_as_undefined() -> None:
    mos = np.array([1.0, 2.0, 5.0, 5.0, 7.0, 8.0])
    constant = ScoredSet(np.full(6, 0.5), mos, ["a", "b", "c", "d", "e", "f"])
    draws = {name: np.zeros(4) for name in constant.contents}
    draws["a"][:] = [1, 0, 2, 0]
    draws["b"][:] = [1, 0, 0, 0]
    draws["c"][:] = [0, 1, 0, 0]
    draws["d"][:] = [0, 1, 0, 0]
    found = uncertainty.bootstrap([constant], draws)
    for name in ("srcc", "plcc", "krcc"):
        np.testing.assert_array_equal(found[name], [0, np.nan, np.nan, np.nan])
    error = [np.sqrt((0.5**2 + 1.5**2) / 2), 4.5, 0.5, np.nan]
    np.testing.assert_allclose(found["rmse"], error)
    # Test sets with defined metrics still count if another one has none.
    sound = ScoredSet(np.arange(6.0), mos, constant.contents)
    draws["e"][:] = draws["f"][:] = [1, 0, 1, 0]
    found = uncertainty.bootstrap([sound, _first(sound, 2)], draws)
    assert found["srcc"][0] == pytest.approx(1)
    assert uncertainty.interval(found["srcc"], 1.0) is not None
    assert uncertainty.interval(np.full(3, np.nan), 1.0) is None


def _first(scored: ScoredSet, number: int) -> ScoredSet:
    return ScoredSet(scored.scores[:number], scored.mos[:number], scored.contents[:number])


def test_interval_is_the_middle_95_percent() -> None:
    values = np.append(np.random.default_rng(0).permutation(1001.0 * np.arange(1001)), np.nan)
    limits = (-1e9, 1e9)
    median = 500 * 1001
    assert uncertainty.interval(values, median, limits) == pytest.approx((25 * 1001, 975 * 1001))
    # The median of the resamples is shifted to the measured value.
    shifted = uncertainty.interval(values + 7.0, median, limits)
    assert shifted == pytest.approx((25 * 1001, 975 * 1001))
    assert uncertainty.interval(values, median, (1e5, 6e5)) == (1e5, 6e5)


@pytest.mark.parametrize("clustered", [False, True])
def test_interval_covers_the_true_value(clustered: bool) -> None:
    """About 95 of 100 intervals contain the true value, also if a content's videos are alike."""
    rng = np.random.default_rng(7)
    contents, each = (30, 6) if clustered else (90, 1)

    def sample(number: int) -> ScoredSet:
        content = rng.normal(size=(number, 1)) * clustered
        mos = rng.normal(size=(number, each)) + content
        noise = rng.normal(size=(number, each))
        content_noise = 1.5 * rng.normal(size=(number, 1)) * clustered
        scores = mos + noise + content_noise
        return ScoredSet(
            scores.ravel(), mos.ravel(), np.repeat(np.arange(number), each).astype(str).tolist()
        )

    large = sample(40000)
    truth = metrics.srcc(large.scores, large.mos)
    if not clustered:  # for normal distributions it is a known function of Pearson's
        assert truth == pytest.approx(6 / np.pi * np.arcsin(np.sqrt(0.5) / 2), abs=0.01)
    by_content = by_video = 0
    for _ in range(100):
        grouped = sample(contents)
        ungrouped = ScoredSet(
            grouped.scores, grouped.mos, [str(n) for n in range(grouped.mos.size)]
        )
        for one in (grouped, ungrouped):
            draws = uncertainty.draw(one.contents, 200)
            found = uncertainty.bootstrap([one], draws, ["srcc"])["srcc"]
            bounds = uncertainty.interval(found, metrics.srcc(one.scores, one.mos))
            assert bounds is not None
            by_content += one is grouped and bounds[0] <= truth <= bounds[1]
            by_video += one is ungrouped and bounds[0] <= truth <= bounds[1]
    assert 88 <= by_content <= 99
    if clustered:
        assert by_video < 85  # videos of one content are not independent


def test_few_contents_do_not_bias_the_interval_upwards() -> None:
    """With five contents in each of ten test sets, about as many intervals are too high as too low."""
    rng = np.random.default_rng(3)

    def make_sets() -> list[ScoredSet]:
        mos = rng.normal(size=(23, 15)) + 0.5 * rng.normal(size=(23, 1))
        scores = mos + 0.5 * rng.normal(size=(23, 15)) + 0.7 * rng.normal(size=(23, 1))
        chosen = [rng.permutation(23)[:5] for _ in range(10)]
        names = np.repeat(np.arange(23), 15).reshape(23, 15).astype(str)
        return [
            ScoredSet(scores[n].ravel(), mos[n].ravel(), list(names[n].ravel())) for n in chosen
        ]

    def measured(tested: list[ScoredSet]) -> float:
        return float(np.median([metrics.srcc(each.scores, each.mos) for each in tested]))

    truth = float(np.median([measured(make_sets()) for _ in range(200)]))
    above = below = 0
    for _ in range(100):
        tested = make_sets()
        draws = uncertainty.draw((name for each in tested for name in each.contents), 200)
        found = uncertainty.bootstrap(tested, draws, ["srcc"])["srcc"]
        bounds = uncertainty.interval(found, measured(tested))
        assert bounds is not None
        above, below = above + (bounds[0] > truth), below + (bounds[1] < truth)
    assert abs(above - below) <= 8
    assert above <= 15


def test_keeping_the_logistic_changes_little() -> None:
    """The interval of PLCC is close to that with a new fit for each resample."""
    rng = np.random.default_rng(5)
    mos = rng.uniform(20, 80, 120)
    scores = 1 / (1 + np.exp(-(mos - 45) / 12)) + rng.normal(0, 0.12, 120)
    scored = ScoredSet(scores, mos, [str(n) for n in range(120)])
    draws = uncertainty.draw(scored.contents, 200)
    measured = metrics.measure(scored.scores, scored.mos).plcc
    kept = uncertainty.interval(uncertainty.bootstrap([scored], draws, ["plcc"])["plcc"], measured)
    refitted = []
    for index in range(200):
        times = [int(draws[content][index]) for content in scored.contents]
        refitted.append(metrics.measure(np.repeat(scores, times), np.repeat(mos, times)).plcc)
    assert kept == pytest.approx(uncertainty.interval(np.array(refitted), measured), abs=0.01)


def test_corrected_t_test_by_hand() -> None:
    differences = [0.02, -0.01, 0.04, 0.03, 0.02]
    # Mean 0.02, variance 0.00035, factor 1/5 + 1/4.
    t = 0.02 / math.sqrt(0.00035 * 0.45)
    p, reason = uncertainty.paired_test(differences, 0.25)
    assert p == pytest.approx(2 * stats.t.sf(t, 4))
    assert reason == ""
    # Without the correction it is Student's t-test.
    plain = stats.ttest_1samp(differences, 0).pvalue
    assert uncertainty.paired_test(differences, 0.0)[0] == pytest.approx(plain)
    assert uncertainty.paired_test([-d for d in differences], 0.25)[0] == pytest.approx(p)


def test_an_impossible_t_test_has_a_reason() -> None:
    assert uncertainty.paired_test([0.1], 0.25) == (None, "the test needs two splits or more")
    for equal in ([0.0] * 3, [0.1 + 0.2, 0.3, 0.3]):
        assert uncertainty.paired_test(equal, 0.25) == (
            None,
            "the difference is the same on every split",
        )


def test_the_correction_keeps_the_level_of_the_test() -> None:
    """For two equally good models few tests find a difference at 5 %, but Student's t-test finds many."""
    rng = np.random.default_rng(3)
    num_corrected = num_plain = 0
    for _ in range(150):
        x = rng.normal(size=(80, 8))
        y = x.sum(axis=1) + rng.normal(0, 2, 80)
        differences = []
        for _ in range(10):
            order = rng.permutation(80)
            train, test = order[:64], order[64:]
            values = []
            for columns in (slice(0, 4), slice(4, 8)):  # both halves are equally informative
                weights = np.linalg.lstsq(x[train, columns], y[train], rcond=None)[0]
                values.append(metrics.srcc(x[test, columns] @ weights, y[test]))
            differences.append(values[0] - values[1])
        p, _ = uncertainty.paired_test(differences, 0.25)
        plain, _ = uncertainty.paired_test(differences, 0.0)
        assert p is not None
        assert plain is not None
        num_corrected += p < 0.05
        num_plain += plain < 0.05
    assert num_corrected / 150 < 0.12
    assert num_plain / 150 > 0.25


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
    found = uncertainty.compare(ours, theirs, CONTENTS, splits)

    def values(rows: Sequence[Prediction]) -> np.ndarray:
        by_split = [[row for row in rows if row.split == n] for n in range(6)]
        return np.array(
            [metrics.srcc([r.score for r in each], [r.mos for r in each]) for each in by_split]
        )

    our_srcc, their_srcc = values(ours), values(theirs)
    assert found["difference"] == pytest.approx(np.median(our_srcc) - np.median(their_srcc))
    assert (found["p"], found["reason"]) == uncertainty.paired_test(
        list(our_srcc - their_srcc), 20 / 40
    )
    draws = uncertainty.draw(CONTENTS[row.video] for row in ours)
    medians = [
        uncertainty.bootstrap(uncertainty.scored_sets(rows, CONTENTS), draws)["srcc"]
        for rows in (ours, theirs)
    ]
    assert found["interval"] == uncertainty.interval(
        medians[0] - medians[1], found["difference"], (-2.0, 2.0)
    )
    assert found["interval"][0] > 0  # ours has much less noise
    assert found["p"] < 0.05
    swapped = uncertainty.compare(theirs, ours, CONTENTS, splits)
    assert swapped["difference"] == pytest.approx(-found["difference"])
    assert swapped["p"] == pytest.approx(found["p"])


def test_seeds_of_a_split_are_averaged() -> None:
    splits = make_splits(4)
    ours, theirs = make_predictions(splits, 8), make_predictions(splits, 10)
    once = uncertainty.compare(ours, theirs, CONTENTS, splits)
    two_seeds = [row._replace(seed=seed) for row in ours for seed in (0, 1)]
    again = uncertainty.compare(two_seeds, theirs, CONTENTS, splits)
    assert again["p"] == pytest.approx(once["p"])


def test_constant_scores_count_as_srcc_0() -> None:
    splits = make_splits(3)
    ours = make_predictions(splits, 5)
    found = uncertainty.compare(ours, [row._replace(score=1.0) for row in ours], CONTENTS, splits)
    medians = [each.srcc for each in predictions.measure_members(ours)]
    assert found["difference"] == pytest.approx(np.median(medians))


def test_one_split_has_an_interval_but_no_p() -> None:
    splits = make_splits(1)
    found = uncertainty.compare(
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
            uncertainty.compare(rows, other, CONTENTS, splits)


@pytest.mark.parametrize(
    ("difference", "interval", "p", "expected"),
    [
        (0.0234, (-0.01, 0.05), 0.4, "+0.023 SRCC, 95 % −0.010 to 0.050: no difference shown (p = 0.4)"),
        (0.03, (0.01, 0.05), 0.0123, "+0.030 SRCC, 95 % 0.010 to 0.050: better (p = 0.012)"),
        (-0.03, (-0.05, -0.01), 1e-5, "−0.030 SRCC, 95 % −0.050 to −0.010: worse (p < 0.001)"),
        # The interval alone decides; the p of the other procedure does not.
        (0.03, (0.01, 0.05), 0.06, "+0.030 SRCC, 95 % 0.010 to 0.050: better (p = 0.06)"),
        (0.03, (-0.01, 0.05), 0.01, "+0.030 SRCC, 95 % −0.010 to 0.050: no difference shown (p = 0.01)"),
        (0.03, (0.01, 0.05), None, "+0.030 SRCC, 95 % 0.010 to 0.050: better (no p: one split)"),
        (0.03, None, 0.01, "+0.030 SRCC, no interval: no difference shown (p = 0.01)"),
    ],
)  # fmt: skip
def test_comparison_line(
    difference: float, interval: tuple[float, float] | None, p: float | None, expected: str
) -> None:
    found = {"difference": difference, "interval": interval, "p": p, "reason": "one split"}
    assert uncertainty.comparison_line("A", "B", found) == f"A − B: {expected}"
