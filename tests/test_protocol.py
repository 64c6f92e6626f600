"""Summaries over splits, their table, and the files in which results are kept."""

import io
import json
import statistics
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from a2inet_jax.evaluation import predictions, protocol
from a2inet_jax.evaluation.metrics import Metrics, fit_logistic, measure
from a2inet_jax.evaluation.predictions import Prediction


def split(srcc: float, rmse: float = 1.0) -> Metrics:
    return Metrics(srcc, srcc, srcc, rmse, 9, fit_logistic([1.0], [1.0]))


def rows(seed: int = 0) -> list[Prediction]:
    rng = np.random.default_rng(seed)
    return [
        Prediction(number, f"v{i}", float(10 * i), float(10 * i + rng.normal(0, 5)))
        for number in range(3)
        for i in range(9)
    ]


def printed(content: dict) -> str:
    console = Console(file=io.StringIO(), width=120, force_terminal=True, no_color=True)
    console.print(protocol.table(content))
    return console.file.getvalue()  # type: ignore[attr-defined]


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
    content = protocol.results("a2inet", {"a2inet": [split(0.8)]}, protocol.Data("d", 9), "last")
    assert content["models"]["a2inet"]["summary"]["srcc"]["std"] is None
    assert protocol.cell(content["models"]["a2inet"]["summary"], "srcc") == "0.800"
    with pytest.raises(ValueError, match="no splits"):
        protocol.summarise([])


def test_table_compares_and_marks_the_best() -> None:
    measured = {
        "svr": [split(0.7, 9.0), split(0.72, 9.0)],
        "mine": [split(0.6, 2.0), split(0.6, 2.0)],
        "a2inet": [split(0.9, 5.0), split(0.8, 6.0)],
    }
    data = protocol.Data("sample", 9, "VMAF")
    content = protocol.results("a2inet", measured, data, "best_test")
    shown = printed(content)
    assert [shown.index(name) for name in ("A2INet", "SVR on", "mine")] == sorted(
        shown.index(name) for name in ("A2INet", "SVR on", "mine")
    )
    assert "0.850 (0.071)" in shown
    assert "\x1b[1m0.850 (0.071)" in shown
    assert "\x1b[1m2.00 (0.00)" in shown  # a small error is the good one
    assert "\x1b[1m0.710" not in shown
    assert "optimistic" in shown
    assert "optimistic" not in printed(protocol.results("a2inet", measured, data, "last"))


def test_ties_are_all_best() -> None:
    a, b = protocol.summarise([split(0.70004)]), protocol.summarise([split(0.69996)])
    assert protocol.best({"a": a, "b": b}, "srcc") == {"a", "b"}


def test_results_are_json_of_the_same_bytes(tmp_path: Path) -> None:
    measured = {"a2inet": predictions.measure_splits(rows()), "svr": [split(float("nan"))]}
    data = protocol.Data("sample", 9)
    protocol.write(tmp_path / "a.json", protocol.results("a2inet", measured, data, "last"))
    turned = dict(reversed(measured.items()))
    protocol.write(tmp_path / "b.json", protocol.results("a2inet", turned, data, "last"))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "b.json"]
    content = json.loads((tmp_path / "a.json").read_text())
    failed = content["models"]["svr"]["splits"][0]
    assert failed["srcc"] is None
    assert failed["logistic"] == {
        "b1": None, "b2": None, "b3": None, "b4": None,
        "converged": False, "reason": "fewer than 5 videos",
    }  # fmt: skip
    first = content["models"]["a2inet"]["splits"][0]
    assert first["srcc"] == pytest.approx(measured["a2inet"][0].srcc, abs=1e-6)
    assert "Sample" not in printed(content)  # a read file makes the table too


def test_predictions_survive_the_file(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    predictions.write(path, reversed(rows()))
    first = path.read_bytes()
    assert first.startswith(b"split,video,mos,score,seed\n0,v0,0.000000,")
    found = predictions.read(path)
    assert [row[:2] for row in found] == [row[:2] for row in rows()]
    assert [row.score for row in found] == pytest.approx([row.score for row in rows()], abs=1e-6)
    predictions.write(path, found)
    assert path.read_bytes() == first
    assert list(tmp_path.iterdir()) == [path]


def test_splits_are_measured_apart() -> None:
    mixed = rows()[::-1]
    for number, each in enumerate(predictions.measure_splits(mixed)):
        part = [row for row in rows() if row.split == number]
        assert each == measure([row.score for row in part], [row.mos for row in part])
    other = [row._replace(seed=1) for row in rows(seed=1)]
    found = predictions.measure_splits(mixed + other)
    assert found[::2] == predictions.measure_splits(rows())
    assert found[1::2] == predictions.measure_splits(other)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,mos\n", "the columns must be split,video,mos,score,seed"),
        ("split,video,mos,score,seed\n0,a,1.0,x,0\n", "line 2"),
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
