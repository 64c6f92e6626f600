"""Summaries over splits, their table, and the files in which results are kept."""

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from a2inet_jax.datasets.splits import Split
from a2inet_jax.evaluation import predictions, protocol
from a2inet_jax.evaluation.metrics import Metrics, fit_logistic, measure
from a2inet_jax.evaluation.predictions import Prediction


def split(srcc: float, rmse: float = 1.0) -> Metrics:
    return Metrics(srcc, srcc, srcc, rmse, 9, fit_logistic([1.0], [1.0]))


def rows(seed: int = 3) -> list[Prediction]:
    rng = np.random.default_rng(seed)
    return [
        Prediction(number, f"v{i}", float(10 * i), float(10 * i + rng.normal(0, 5)))
        for number in range(3)
        for i in range(9)
    ]


CONTENTS = {f"v{i}": f"c{i // 2}" for i in range(9)}
PARTS = [Split(tuple(f"t{i}" for i in range(36)), (), tuple(CONTENTS))] * 3


def made(tested: dict[str, list[Prediction]], rule: str = "last", **more: Any) -> dict[str, Any]:
    data = protocol.Data("sample", 45, "VMAF")
    return protocol.results("a2inet", tested, data, rule, CONTENTS, PARTS, **more)


def test_summary_by_hand() -> None:
    values = [0.5, 0.9, 0.7, 0.8]
    found = protocol.summarise([split(v) for v in values])["srcc"]
    assert found["median"] == pytest.approx(0.75)
    assert found["mean"] == pytest.approx(0.725)
    assert found["std"] == pytest.approx(statistics.stdev(values))
    assert (found["min"], found["max"], found["undefined"]) == (0.5, 0.9, 0)


def test_undefined_correlations_count_as_zero_and_are_told() -> None:
    found = protocol.summarise([split(0.8), split(float("nan")), split(0.6)])["srcc"]
    assert (found["median"], found["min"], found["undefined"]) == (0.6, 0.0, 1)


def test_one_split_has_no_spread() -> None:
    results = made({"a2inet": [row for row in rows() if row.split == 0]})
    found = results["models"]["a2inet"]
    assert found["summary"]["srcc"]["std"] is None
    assert found["summary"]["srcc"]["median"] == pytest.approx(found["splits"][0]["srcc"])
    low, high = found["interval"]["srcc"]
    assert low <= found["summary"]["srcc"]["median"] <= high
    with pytest.raises(ValueError, match="no splits"):
        protocol.summarise([])


def test_the_run_is_compared_with_each_baseline() -> None:
    tested = {"svr": rows(4), "a2inet": rows(), "mine": rows(5)}
    results = made(tested)
    assert list(protocol.models(results)) == ["a2inet", "svr", "mine"]
    assert results["paired"].keys() == {"svr", "mine"}
    for name in ("svr", "mine"):
        medians = [
            results["models"][model]["summary"]["srcc"]["median"] for model in ("a2inet", name)
        ]
        assert results["paired"][name]["difference"] == pytest.approx(
            medians[0] - medians[1], abs=1e-5
        )
    first, second = protocol.comparisons(results)
    assert first.startswith("A2INet − SVR on mean-pooled features: ")
    assert second.startswith("A2INet − mine: ")


def test_videos_of_no_known_content_are_named() -> None:
    with pytest.raises(
        ValueError, match="1 videos that were tested are not in sample, x the first"
    ):
        made({"a2inet": [*rows(), Prediction(0, "x", 1.0, 1.0)]})


def test_remarks_tell_what_was_not_ordinary() -> None:
    whole = made({"a2inet": rows()})
    assert protocol.remarks(whole | {"contents_tested": 15}) == []
    assert whole["contents_tested"] == 5
    (narrow,) = protocol.remarks(whole)
    assert "too narrow: a test part has 5 contents" in narrow
    turned = [row._replace(score=-row.score) for row in rows()]
    _, falling = protocol.remarks(made({"a2inet": turned}))
    assert falling.startswith("A2INet: the logistic falls in 3 of 3 splits")
    few = [row._replace(score=5.0) if row.split == 0 else row for row in rows()]
    few = [row for row in few if row.split != 1 or row.video < "v4"]
    optimistic, narrow, order, logistic = protocol.remarks(made({"a2inet": few}, "best_test"))
    assert "has 2 contents" in narrow
    assert "optimistic" in optimistic
    assert order == (
        "A2INet: all scores or all labels are equal in 1 of 3 splits: correlations count as 0 there."
    )
    assert "in 2 of 3 splits (constant scores, fewer than 5 videos)" in logistic
    across = made({"a2inet": rows()})
    across |= {"trained_on": "LSVQ", "mapping": "logistic fitted on sample"}
    across |= {"ranges": {"trained": [2.5, 91.4], "tested": [0.0, 80.0]}}
    scales, _ = protocol.remarks(across)
    assert "Trained on LSVQ (labels 2.5 to 91.4), tested on sample (0 to 80)" in scales
    assert "logistic fitted on sample" in scales


def test_what_is_not_defined_has_no_interval_and_stops_nothing() -> None:
    one = [row for row in rows() if row.video == "v0"]
    results = made({"a2inet": one, "svr": one})
    found = results["models"]["a2inet"]
    assert found["summary"]["srcc"]["undefined"] == 3
    assert found["interval"]["srcc"] is None
    assert results["paired"]["svr"]["p"] is None
    assert results["paired"]["svr"]["interval"] is None


def test_weighted_average_is_that_of_table_2() -> None:
    # The paper's row CNN+TLVQM: SRCC on its five data sets, and their sizes.
    values = {"q": 0.8220, "c": 0.7486, "v": 0.7719, "y": 0.8112, "k": 0.8220}
    videos = {"q": 208, "c": 234, "v": 585, "y": 1142, "k": 1200}
    expected = (0.8220 * 208 + 0.7486 * 234 + 0.7719 * 585 + 0.8112 * 1142 + 0.8220 * 1200) / 3369
    assert protocol.weighted_average(values, videos) == pytest.approx(expected)
    assert expected == pytest.approx(0.8045, abs=5e-5)
    for wrong in ({"q": 208}, dict.fromkeys(values, 0)):
        with pytest.raises(ValueError, match="weighted average"):
            protocol.weighted_average(values, wrong)


def test_numbers_are_shown_with_their_digits() -> None:
    assert protocol.shown(0.70004, "srcc") == "0.700"
    assert protocol.shown(16.955, "rmse") == "16.95"  # as it lies in binary, a little below
    assert protocol.shown(0.34567, "rmse") == "0.346"
    assert protocol.shown(0.00012345, "rmse") == "0.000123"
    assert protocol.shown(0.0, "rmse") == "0.00"
    assert protocol.shown(0.0712, "rmse", beside=2.0) == "0.07"
    assert protocol.interval([0.2, 1.5], "rmse", beside=0.345) == "0.200–1.500"
    assert protocol.shown(-0.1234, "plcc") == "−0.123"
    assert protocol.shown(-0.0001, "krcc") == "0.000"
    assert protocol.shown(None, "srcc") == protocol.shown(float("nan"), "srcc") == "–"
    assert protocol.interval([-0.1, 0.25], "srcc") == "−0.100–0.250"
    assert protocol.interval(None, "rmse") == "–"


def test_results_are_json_of_the_same_bytes(tmp_path: Path) -> None:
    tested = {"a2inet": rows(), "svr": [row._replace(score=3.0) for row in rows()]}
    protocol.write(tmp_path / "a.json", made(tested))
    turned = {name: found[::-1] for name, found in reversed(tested.items())}
    protocol.write(tmp_path / "b.json", made(turned))
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
    measured = predictions.measure_splits(rows())
    assert first["srcc"] == pytest.approx(measured[0].srcc, abs=1e-6)
    assert results["models"]["svr"]["interval"]["srcc"] == [0, 0]


def test_predictions_survive_the_file(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    predictions.write(path, reversed(rows()))
    first = path.read_bytes()
    assert first.startswith(b"split,video,mos,score,seed\n0,v0,0.0,")
    found = predictions.read(path)
    assert [row[:2] for row in found] == [row[:2] for row in rows()]
    assert [row.score for row in found] == pytest.approx([row.score for row in rows()], rel=1e-8)
    predictions.write(path, found)
    assert path.read_bytes() == first
    assert list(tmp_path.iterdir()) == [path]


def test_splits_are_measured_apart() -> None:
    mixed = rows()[::-1]
    for number, each in enumerate(predictions.measure_splits(mixed)):
        part = [row for row in rows() if row.split == number]
        assert each == measure([row.score for row in part], [row.mos for row in part])
    other = [row._replace(seed=1) for row in rows(seed=4)]
    found = predictions.measure_splits(mixed + other)
    assert found[::2] == predictions.measure_splits(rows())
    assert found[1::2] == predictions.measure_splits(other)


def test_the_scale_of_the_labels_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    whole = predictions.measure_splits(rows())
    for scale in (1e-8, 1e8):
        scaled = [row._replace(mos=scale * row.mos, score=scale * row.score) for row in rows()]
        predictions.write(path, scaled)
        for one, other in zip(whole, predictions.measure_splits(predictions.read(path))):
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
def test_bad_predictions_are_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as raised:
        predictions.read(path)
    assert "predictions.csv" in str(raised.value)


def test_missing_predictions_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"predictions\.csv is missing"):
        predictions.read(tmp_path / "predictions.csv")
