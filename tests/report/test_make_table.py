"""Results tables, and their output on a terminal."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from a2inet_jax.evaluation.protocol import EvaluatedDataset
from a2inet_jax.report import make_table
from a2inet_jax.report.columns import columns, notes
from a2inet_jax.report.table import Cell, ResultsTable, RunResults
from a2inet_jax.report.writers import terminal

NUMBER = re.compile(r"−?\d+\.\d+")


def make_model(srcc: float, rmse: float = 5.0, splits: int = 10) -> dict[str, Any]:
    values = {"srcc": srcc, "plcc": srcc, "krcc": srcc, "rmse": rmse}
    logistic = {"converged": True, "reason": "", "b1": 2.0, "b2": 1.0}
    return {
        "splits": [values | {"logistic": logistic}] * splits,
        "summary": {
            name: {"median": value, "std": 0.0712 if splits > 1 else None}
            for name, value in values.items()
        },
        "interval": {name: [value - 0.1, value + 0.05] for name, value in values.items()},
    }


def make_results(
    models: dict[str, Any] | None = None,
    epoch_rule: str = "last",
    title: str = "sample",
    videos: int = 100,
) -> dict[str, Any]:
    models = models or {"a2inet": make_model(0.85)}
    return {
        "model": "a2inet",
        "seeds": 1,
        "data": {"name": title, "videos": videos, "label": "VMAF", "note": "Not [people]."},
        "epoch_rule": epoch_rule,
        "models": models,
        "paired": {},
    }


def make_cross_results(srcc: float, title: str, videos: int = 100) -> dict[str, Any]:
    """Return results on a data set that the run was not trained on."""
    found = make_results({"a2inet": make_model(srcc)}, title=title, videos=videos)
    found |= {"trained_on": "sample", "mapping": f"logistic fitted on {title}"}
    return found | {"ranges": {"trained": [0.0, 100.0], "tested": [1.0, 5.0]}}


def table_of(rows: dict[str, dict[str, dict[str, Any]]]) -> ResultsTable:
    """Return the table of runs with these results, on data sets whose names are their titles."""
    titles = dict.fromkeys(name for row in rows.values() for name in row)
    tested = {
        run: {name: RunResults(Path("runs") / run, each) for name, each in row.items()}
        for run, row in rows.items()
    }
    datasets = {name: EvaluatedDataset(name, 0, "VMAF", "Not [people].") for name in titles}
    return make_table.from_rows("some runs", tested, datasets)


def print_table(table: ResultsTable, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, no_color=True)
    console.print(terminal(table, width))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def without_styles(text: str) -> str:
    """Remove the codes for bold and dim."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_models_are_in_order_and_the_best_is_bold() -> None:
    models = {
        "svr": make_model(0.71, 9.0),
        "mine": make_model(0.6, 2.0),
        "a2inet": make_model(0.85),
    }
    text = print_table(
        make_table.of_models(RunResults(Path("runs/x"), make_results(models, "best_test"))), 80
    )
    positions = [text.index(name) for name in ("A2INet", "SVR on", "mine")]
    assert positions == sorted(positions)
    assert "\x1b[1m0.850\x1b[0m (0.071)" in text
    assert "0.710 (0.071)" in text
    assert "\x1b[1m0.710" not in text
    assert "\x1b[1m2.00\x1b[0m (0.07)" in text  # the smallest error is the best
    assert "0.750–0.900" in text
    for metric in ("SRCC ↑", "PLCC ↑", "KRCC ↑", "RMSE ↓"):
        assert f"{metric} (std)" in text
    for words in ("best_test", "10 splits", "optimistic", "Not [people]."):
        assert words in text
    assert "optimistic" not in print_table(
        make_table.of_models(RunResults(Path("runs/x"), make_results())), 80
    )


def test_one_split_has_no_deviation_and_may_have_no_interval() -> None:
    model = make_model(0.85, splits=1)
    model["interval"] = dict.fromkeys(model["interval"])
    text = without_styles(
        print_table(
            make_table.of_models(RunResults(Path("runs/x"), make_results({"a2inet": model}))), 80
        )
    )
    assert "Medians over 1 split." in text
    assert "std" not in text
    assert "95 %" not in text


def test_runs_by_data_sets() -> None:
    rows = {
        "one": {
            "sample": make_results(),
            "KoNViD-1k": make_cross_results(0.5, "KoNViD-1k", videos=300),
        },
        "[new] runs": {"sample": make_results({"a2inet": make_model(0.75, splits=5)}, "best_val")},
    }
    table = table_of(rows)
    # The run that was not tested on both data sets has no average.
    assert table.weighted_average.keys() == {"one"}
    assert table.weighted_average["one"]["srcc"] == pytest.approx((0.85 + 3 * 0.5) / 4)
    cell = table.rows[0].cells["KoNViD-1k"]
    assert isinstance(cell, Cell)
    assert cell.trained_on == "sample"
    text = print_table(table, 120)
    assert "\x1b[1m0.850\x1b[0m" in text
    assert "\x1b[1m0.750" not in text
    assert "\x1b[1m0.500" not in text  # a single number is not the best
    blocks = without_styles(text).split("some runs · ")[1:]
    assert [block.split("\n")[0] for block in blocks] == ["sample", "KoNViD-1k", "W.A."]
    lines = [line.split() for line in blocks[1].splitlines()]
    assert ["[new]", "runs", "–", "–"] in lines
    lines = [line.split() for line in blocks[2].splitlines()]
    assert ["one", "0.588", "0.588"] in lines
    assert ["[new]", "runs", "–", "–"] in lines
    joined = " ".join(without_styles(text).split())
    for words in (
        "Medians over 10 splits (one); 5 splits ([new] runs).",
        "Epoch: last (one); best_val, the best on the validation set ([new] runs).",
        "Model: A2INet.",
        "one on KoNViD-1k: Trained on sample (labels 0 to 100), tested on KoNViD-1k (1 to",
        "weighted by their numbers of videos",
        "sample: 100 videos, labels: VMAF. Not [people].",
    ):
        assert joined.count(words) == 1, words


def test_data_sets_are_described_as_the_runs_have_them() -> None:
    fewer = make_results(videos=90)
    fewer["data"]["note"] = "Ten were missing."
    rows: dict[str, dict[str, RunResults | str]] = {
        "a": {"x": RunResults(Path("a"), make_results()), "y": "no [weights]"},
        "b": {"x": RunResults(Path("b"), fewer), "y": ""},
    }
    datasets = {
        "x": EvaluatedDataset("X", 0),
        "y": EvaluatedDataset("Y", 0, "DMOS", "Lower is better."),
    }
    table = make_table.from_rows("two", rows, datasets, notes=["so much"])
    x, y = table.datasets.values()
    assert (x.name, x.videos, x.note) == ("X", 100, "Not [people]. Ten were missing.")
    assert (y.videos, y.label, y.note) == (0, "DMOS", "Lower is better.")
    assert table.weighted_average == {}
    assert "Y: labels: DMOS. Lower is better." in notes(table)
    assert notes(table)[-2:] == ["so much", "– a on Y: no [weights]"]
    assert [column.metric for column in columns(table)] == ["srcc", "plcc"] * 2


def test_a_table_without_numbers_gives_the_reason() -> None:
    rows: dict[str, dict[str, RunResults | str]] = {"SQ": {"x": "no weights"}}
    table = make_table.from_rows("Table 4", rows, {"x": EvaluatedDataset("X", 0)}, 4)
    found = notes(table)
    assert not any("Medians" in note for note in found)
    assert found[-1] == "– SQ on X: no weights"
    assert "SQ" in without_styles(print_table(table, 80))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_number_of_models_is_cut(width: int) -> None:
    models = {
        "a2inet": make_model(0.8, 16.6),
        "concat": make_model(-0.7, 116.95),
        "vsfa": make_model(0.8, 17.1),
        "svr": make_model(0.6, 18.0),
    }
    text = without_styles(
        print_table(make_table.of_models(RunResults(Path("runs/x"), make_results(models))), width)
    )
    assert_complete(text, width)
    for each in models.values():
        for metric, summary in each["summary"].items():
            digits = 2 if metric == "rmse" else 3
            low, high = each["interval"][metric]
            for value in (summary["median"], low, high):
                assert f"{value:.{digits}f}".replace("-", "−") in text
    assert text.count("(0.071)") == 3 * 4
    assert text.count("(0.07)") == 4
    assert "A2INet, concatenation" in " ".join(text.split())


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("number", [1, 2, 6])
def test_no_number_of_runs_is_cut(number: int, width: int) -> None:
    titles = [f"data set {n}" for n in range(number)]
    names = ["[new] runs", "a_run/of_a_long_name+that_has_no_spaces_1a2b3c4d", "x"]
    rows = {
        name: {
            title: make_results({"a2inet": make_model(0.1 * i - 0.03 * n)}, title=title)
            for n, title in enumerate(titles)
        }
        for i, name in enumerate(names)
    }
    table = table_of(rows)
    text = without_styles(print_table(table, width))
    assert_complete(text, width)
    expected = sorted(
        number
        for column in columns(table)
        for texts in (column.ours, column.interval, column.std)
        for each in texts
        for number in NUMBER.findall(each)
    )
    numbers = "".join(line + "\n" for line in text.splitlines() if "labels:" not in line)
    assert sorted(NUMBER.findall(numbers)) == expected
    assert ("W.A." in text) == (number > 1)
    assert "[new] runs" in text
    assert "1a2b3c4d" in text  # the long name is folded, not cut


def assert_complete(text: str, width: int) -> None:
    assert "…" not in text
    assert max(len(line) for line in text.splitlines()) <= width
