"""The page of several runs, and that of a table of the paper."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from a2inet_jax.evaluation.protocol import EvaluatedDataset
from a2inet_jax.report import results_table, run_files, runs_page
from a2inet_jax.report.columns import columns, notes
from a2inet_jax.report.results_table import RunResults
from a2inet_jax.report.run_files import Run
from a2inet_jax.report.sections import Examples
from tests.page_reader import read_page
from tests.run_inputs import make_run


@pytest.fixture(scope="module")
def several(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, list[tuple[Run, Examples]]]:
    """Make the page of two runs; return its path, the runs and their examples."""
    folder = tmp_path_factory.mktemp("runs")
    runs = []
    for seed, (name, width) in enumerate({"demo": 256, "wide": 512}.items()):
        examples = make_run(folder / name, name, seed, width)
        runs.append((run_files.read(folder / name), examples))
    return runs_page.write_runs(tmp_path_factory.mktemp("report"), runs), runs


def test_several_runs_have_one_page(several: tuple[Path, list[tuple[Run, Examples]]]) -> None:
    path, runs = several
    text = path.read_text("utf-8")
    page = read_page(text, "results")
    assert text.count("<svg") == 1 + 2 * (2 + 4)
    assert len(page.images) == 2 * 3 * 4
    at = page.texts.index("Differences in configuration")
    assert [text for text in page.texts[at + 1 :] if text][:9] == [
        "Run", "paper_row", "model.width",
        "demo", "table2:FR,S+S", "256",
        "wide", "–", "512",
    ]  # fmt: skip
    lines = list(csv.DictReader((path.parent / "results.csv").read_text().splitlines()))
    assert [(line["row"], line["metric"]) for line in lines[:3]] == [
        ("demo", "srcc"), ("wide", "srcc"), ("demo", "plcc"),
    ]  # fmt: skip
    for line, (run, _) in zip(lines, runs):
        found = run.results["models"]["a2inet"]
        assert float(line["ours"]) == found["summary"]["srcc"]["median"]
        assert [float(line["low"]), float(line["high"])] == found["interval"]["srcc"]
    before = path.read_bytes()
    assert runs_page.write_runs(path.parent, runs).read_bytes() == before


def test_runs_with_different_splits_are_reported(
    several: tuple[Path, list[tuple[Run, Examples]]], tmp_path: Path
) -> None:
    (one, _), (other, _) = several[1]
    assert results_table.of_runs([one, other])["notes"] == []
    other = replace(other, hashes={"splits.json": "another"}, splits=other.splits[:3])
    table = results_table.of_runs([one, other])
    assert "different splits" in table["notes"][0]
    assert "demo; wide" in table["notes"][0]
    same_name = results_table.of_runs([one, replace(one, path=tmp_path)])
    assert [row["row"] for row in same_name["rows"]] == [str(one.path), str(tmp_path)]


def test_results_on_other_data_have_a_column(
    several: tuple[Path, list[tuple[Run, Examples]]],
) -> None:
    (one, _), (other, _) = several[1]
    data = {"name": "KoNViD-1k", "videos": 9, "label": "MOS", "note": ""}
    cross_results = {
        **one.results,
        "data": data,
        "trained_on": "sample",
        "inputs": {"labels": "2cd"},
        "mapping": "logistic",
        "ranges": {"trained": [0, 100], "tested": [1, 5]},
    }
    table = results_table.of_runs([replace(one, cross_results=[cross_results]), other])
    assert [column.dataset for column in columns(table)] == [
        name for name in ("sample", "KoNViD-1k", "W.A.") for _ in range(2)
    ]
    assert columns(table)[2].ours[1] == "–"
    assert table["weighted_average"].keys() == {"demo"}
    assert any(note.startswith("demo on KoNViD-1k: Trained on sample") for note in notes(table))


def test_table_page_has_a_section_for_each_run(
    several: tuple[Path, list[tuple[Run, Examples]]], tmp_path: Path
) -> None:
    runs = several[1]
    run = runs[0][0]
    rows: dict[str, dict[str, RunResults | str]] = {
        "SQ": {"sample": RunResults(run.path, run.results)},
        "MS": {"sample": "no weights"},
    }
    datasets = {"sample": EvaluatedDataset("sample", 0, "VMAF")}
    table = results_table.from_rows("Table 4: Features", rows, datasets, 4)
    path = runs_page.write_table(tmp_path / "table4", table, runs[:1])
    page = read_page(path.read_text("utf-8"), "table")
    shown = " ".join(page.texts)
    assert "Results of the paper on other data sets" in shown
    assert "0.7764" in shown  # SQ on LIVE-Qualcomm
    assert "– MS on sample: no weights" in shown
    assert json.loads((tmp_path / "table4" / "table.json").read_text())["title"] == table["title"]


def test_differing_fields() -> None:
    configs: list[dict[str, Any]] = [
        {"name": "a", "x": {"y": 1, "z": [1, 2]}},
        {"name": "b", "x": {"y": 1}, "w": 0},
    ]
    assert runs_page.differing_fields(configs) == {"x.z": ["1, 2", "–"], "w": ["–", "0"]}
