"""Summaries over splits, remarks on them, and the files of results and predictions."""

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from a2inet_jax import files
from a2inet_jax.datasets.splits import Split
from a2inet_jax.errors import RunError
from a2inet_jax.evaluation import predictions, protocol
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.metrics import Metrics, fit_logistic, measure


def make_metrics(srcc: float, rmse: float = 1.0) -> Metrics:
    return Metrics(srcc, srcc, srcc, rmse, 9, fit_logistic([1.0], [1.0]))


def make_rows(seed: int = 3) -> list[Prediction]:
    rng = np.random.default_rng(seed)
    return [
        Prediction(index, f"v{i}", float(10 * i), float(10 * i + rng.normal(0, 5)))
        for index in range(3)
        for i in range(9)
    ]


CONTENTS = {f"v{i}": f"c{i // 2}" for i in range(9)}
SPLITS = [Split(tuple(f"t{i}" for i in range(36)), (), tuple(CONTENTS))] * 3


def make_results(tested: dict[str, list[Prediction]], epoch_rule: str = "last") -> dict[str, Any]:
    data = protocol.EvaluatedDataset("sample", 45, "VMAF")
    return protocol.results("a2inet", tested, data, epoch_rule, CONTENTS, SPLITS)


def test_summary_by_hand() -> None:
    values = [0.5, 0.9, 0.7, 0.8]
    found = protocol.summarise([make_metrics(v) for v in values])["srcc"]
    assert found["median"] == pytest.approx(0.75)
    assert found["mean"] == pytest.approx(0.725)
    assert found["std"] == pytest.approx(statistics.stdev(values))
    assert (found["min"], found["max"], found["undefined"]) == (0.5, 0.9, 0)


def test_undefined_correlations_count_as_zero_and_are_counted() -> None:
    found = protocol.summarise([make_metrics(v) for v in (0.8, float("nan"), 0.6)])["srcc"]
    assert (found["median"], found["min"], found["undefined"]) == (0.6, 0.0, 1)


def test_one_split_has_no_standard_deviation() -> None:
    results = make_results({"a2inet": [row for row in make_rows() if row.split == 0]})
    found = results["models"]["a2inet"]
    assert found["summary"]["srcc"]["std"] is None
    assert found["summary"]["srcc"]["median"] == pytest.approx(found["splits"][0]["srcc"])
    low, high = found["interval"]["srcc"]
    assert low <= found["summary"]["srcc"]["median"] <= high
    with pytest.raises(ValueError, match="no splits"):
        protocol.summarise([])


def test_the_run_is_compared_with_each_baseline() -> None:
    tested = {"svr": make_rows(4), "a2inet": make_rows(), "mine": make_rows(5)}
    results = make_results(tested)
    assert list(protocol.ordered_models(results)) == ["a2inet", "svr", "mine"]
    assert results["paired"].keys() == {"svr", "mine"}
    for name in ("svr", "mine"):
        medians = [
            results["models"][model]["summary"]["srcc"]["median"] for model in ("a2inet", name)
        ]
        assert results["paired"][name]["difference"] == pytest.approx(
            medians[0] - medians[1], abs=1e-5
        )
    first, second = protocol.comparison_lines(results)
    assert first.startswith("A2INet − SVR on mean-pooled features: ")
    assert second.startswith("A2INet − mine: ")


def test_videos_of_unknown_content_are_named() -> None:
    with pytest.raises(RunError, match=r"1 tested videos are not in sample \(x is the first\)"):
        make_results({"a2inet": [*make_rows(), Prediction(0, "x", 1.0, 1.0)]})


def test_remarks_report_unusual_results() -> None:
    results = make_results({"a2inet": make_rows()})
    assert protocol.remarks(results | {"contents_tested": 15}) == []
    assert results["contents_tested"] == 5
    (narrow,) = protocol.remarks(results)
    assert "too narrow: a test part has 5 contents" in narrow
    negated = [row._replace(score=-row.score) for row in make_rows()]
    _, falling = protocol.remarks(make_results({"a2inet": negated}))
    assert falling.startswith("A2INet: the logistic falls in 3 of 3 splits")
    few = [row._replace(score=5.0) if row.split == 0 else row for row in make_rows()]
    few = [row for row in few if row.split != 1 or row.video < "v4"]
    optimistic, narrow, constant, logistic = protocol.remarks(
        make_results({"a2inet": few}, "best_test")
    )
    assert "has 2 contents" in narrow
    assert "optimistic" in optimistic
    assert constant == (
        "A2INet: all scores or all labels are equal in 1 of 3 splits: correlations count as 0 there."
    )
    assert "in 2 of 3 splits (constant scores, fewer than 5 videos)" in logistic
    cross = make_results({"a2inet": make_rows()})
    cross |= {"trained_on": "LSVQ", "mapping": "logistic fitted on sample"}
    cross |= {"ranges": {"trained": [2.5, 91.4], "tested": [0.0, 80.0]}}
    scales, _ = protocol.remarks(cross)
    assert "Trained on LSVQ (labels 2.5 to 91.4), tested on sample (0 to 80)" in scales
    assert "logistic fitted on sample" in scales


def test_undefined_metrics_have_no_interval_and_are_no_error() -> None:
    one_video = [row for row in make_rows() if row.video == "v0"]
    results = make_results({"a2inet": one_video, "svr": one_video})
    found = results["models"]["a2inet"]
    assert found["summary"]["srcc"]["undefined"] == 3
    assert found["interval"]["srcc"] is None
    assert results["paired"]["svr"]["p"] is None
    assert results["paired"]["svr"]["interval"] is None


def test_weighted_average_equals_that_of_table_2() -> None:
    # The paper's row CNN+TLVQM: SRCC on its five data sets, and their numbers of videos.
    values = {"q": 0.8220, "c": 0.7486, "v": 0.7719, "y": 0.8112, "k": 0.8220}
    videos = {"q": 208, "c": 234, "v": 585, "y": 1142, "k": 1200}
    expected = (0.8220 * 208 + 0.7486 * 234 + 0.7719 * 585 + 0.8112 * 1142 + 0.8220 * 1200) / 3369
    assert protocol.weighted_average(values, videos) == pytest.approx(expected)
    assert expected == pytest.approx(0.8045, abs=5e-5)
    for wrong in ({"q": 208}, dict.fromkeys(values, 0)):
        with pytest.raises(ValueError, match="weighted average"):
            protocol.weighted_average(values, wrong)


def test_numbers_are_printed_with_their_decimals() -> None:
    assert protocol.format_value(0.70004, "srcc") == "0.700"
    assert protocol.format_value(16.955, "rmse") == "16.95"  # its binary value is a little lower
    assert protocol.format_value(0.34567, "rmse") == "0.346"
    assert protocol.format_value(0.00012345, "rmse") == "0.000123"
    assert protocol.format_value(0.0, "rmse") == "0.00"
    assert protocol.format_value(0.0712, "rmse", like=2.0) == "0.07"
    assert protocol.format_interval([0.2, 1.5], "rmse", like=0.345) == "0.200–1.500"
    assert protocol.format_value(-0.1234, "plcc") == "−0.123"
    assert protocol.format_value(-0.0001, "krcc") == "0.000"
    assert protocol.format_value(None, "srcc") == protocol.format_value(float("nan"), "srcc") == "–"
    assert protocol.format_interval([-0.1, 0.25], "srcc") == "−0.100–0.250"
    assert protocol.format_interval(None, "rmse") == "–"


def test_format_splits() -> None:
    assert protocol.format_splits(1, 1) == "1 split"
    assert protocol.format_splits(10, 1) == "10 splits"
    assert protocol.format_splits(10, 3) == "10 splits × 3 seeds"


def test_results_are_json_of_the_same_bytes(tmp_path: Path) -> None:
    tested = {"a2inet": make_rows(), "svr": [row._replace(score=3.0) for row in make_rows()]}
    files.write_json(tmp_path / "a.json", make_results(tested))
    reordered = {name: rows[::-1] for name, rows in reversed(tested.items())}
    files.write_json(tmp_path / "b.json", make_results(reordered))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "b.json"]
    results = json.loads((tmp_path / "a.json").read_text())
    failed = results["models"]["svr"]["splits"][0]
    assert failed["srcc"] is None
    assert failed["logistic"] == {
        "b1": None, "b2": None, "b3": None, "b4": None,
        "converged": False, "reason": "constant scores",
    }  # fmt: skip
    first = results["models"]["a2inet"]["splits"][0]
    measured = predictions.measure_members(make_rows())
    assert first["srcc"] == pytest.approx(measured[0].srcc, abs=1e-6)
    assert results["models"]["svr"]["interval"]["srcc"] == [0, 0]


def test_predictions_are_read_as_written(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    predictions.write(path, reversed(make_rows()))
    first = path.read_bytes()
    assert first.startswith(b"split,video,mos,score,seed\n0,v0,0.0,")
    found = predictions.read(path)
    assert [row[:2] for row in found] == [row[:2] for row in make_rows()]
    assert [row.score for row in found] == pytest.approx(
        [row.score for row in make_rows()], rel=1e-8
    )
    predictions.write(path, found)
    assert path.read_bytes() == first
    assert list(tmp_path.iterdir()) == [path]


def test_ensemble_members_are_measured_separately() -> None:
    reversed_rows = make_rows()[::-1]
    for index, metrics in enumerate(predictions.measure_members(reversed_rows)):
        rows = [row for row in make_rows() if row.split == index]
        assert metrics == measure([row.score for row in rows], [row.mos for row in rows])
    other_seed = [row._replace(seed=1) for row in make_rows(seed=4)]
    found = predictions.measure_members(reversed_rows + other_seed)
    assert found[::2] == predictions.measure_members(make_rows())
    assert found[1::2] == predictions.measure_members(other_seed)


def test_metrics_are_kept_on_any_scale_of_the_labels(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    expected = predictions.measure_members(make_rows())
    for scale in (1e-8, 1e8):
        scaled = [row._replace(mos=scale * row.mos, score=scale * row.score) for row in make_rows()]
        predictions.write(path, scaled)
        for one, other in zip(expected, predictions.measure_members(predictions.read(path))):
            assert (other.srcc, other.krcc) == (one.srcc, one.krcc)
            assert other.plcc == pytest.approx(one.plcc, abs=1e-6)
            assert other.rmse == pytest.approx(scale * one.rmse, rel=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,mos\n", "the columns must be split,video,mos,score,seed"),
        ("split,video,mos,score,seed\n0,a,1.0,x,0\n", "line 2"),
        ("split,video,mos,score,seed\n0,a,1.0,nan,0\n", "line 2: .*not finite"),
        ("split,video,mos,score,seed\n0,a,1.0,2,0,9\n", "line 2: .*more cells"),
        ("split,video,mos,score,seed\n", "no predictions"),
    ],
)
def test_invalid_predictions_are_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text(text)
    with pytest.raises(RunError, match=message) as raised:
        predictions.read(path)
    assert "predictions.csv" in str(raised.value)


def test_missing_predictions_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"predictions\.csv is missing"):
        predictions.read(tmp_path / "predictions.csv")


def test_srcc_of_groups_is_pooled_over_the_splits() -> None:
    rows = make_rows()
    groups = {video: "small" if video < "v3" else "large" for video in CONTENTS}
    large, small = predictions.srcc_by_group(reversed(rows), groups)
    pooled = [row for row in rows if groups[row.video] == "large"]
    assert (large.name, large.videos, large.predictions) == ("large", 6, 18)
    assert large.srcc == pytest.approx(
        measure([row.score for row in pooled], [row.mos for row in pooled]).srcc
    )
    # Three videos are too few, however often they are tested.
    assert (small.name, small.videos, small.predictions, small.srcc) == ("small", 3, 9, None)
    constant = [row._replace(score=1.0) for row in rows]
    assert predictions.srcc_by_group(constant, groups)[0].srcc is None
