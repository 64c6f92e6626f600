"""The pages of several runs, and of a table of the paper."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from a2inet_jax.evaluation.protocol import Data
from a2inet_jax.report import results_table, run_files, runs_page
from a2inet_jax.report.columns import columns, notes
from a2inet_jax.report.results_table import RunResults
from a2inet_jax.report.run_files import Run
from a2inet_jax.report.sections import Examples
from tests.page_reader import whole
from tests.run_inputs import make_run


@pytest.fixture(scope="module")
def several(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, list[tuple[Run, Examples]]]:
    """The page of two runs, and what it was made from."""
    folder = tmp_path_factory.mktemp("runs")
    runs = []
    for seed, (name, width) in enumerate({"demo": 256, "wide": 512}.items()):
        cases = make_run(folder / name, name, seed, width)
        runs.append((run_files.read(folder / name), cases))
    return runs_page.write_runs(tmp_path_factory.mktemp("report"), runs), runs


def test_several_runs_are_one_page(several: tuple[Path, list[tuple[Run, Examples]]]) -> None:
    path, runs = several
    text = path.read_text("utf-8")
    page = whole(text, "results")
    assert text.count("<svg") == 1 + 2 * (2 + 4)
    assert len(page.images) == 2 * 3 * 4
    at = page.texts.index("What varied")
    assert [text for text in page.texts[at + 1 :] if text][:6] == [
        "Run", "model.width", "demo", "256", "wide", "512",
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


def test_unlike_runs_are_told(
    several: tuple[Path, list[tuple[Run, Examples]]], tmp_path: Path
) -> None:
    (one, _), (other, _) = several[1]
    assert results_table.of_runs([one, other])["notes"] == []
    other = replace(other, hashes={"splits.json": "another"}, parts=other.parts[:3])
    sheet = results_table.of_runs([one, other])
    assert "different splits" in sheet["notes"][0]
    assert "demo; wide" in sheet["notes"][0]
    again = results_table.of_runs([one, replace(one, path=tmp_path)])
    assert [row["row"] for row in again["rows"]] == [str(one.path), str(tmp_path)]


def test_runs_tested_on_other_data_have_a_column_for_it(
    several: tuple[Path, list[tuple[Run, Examples]]],
) -> None:
    (one, _), (other, _) = several[1]
    data = {"name": "KoNViD-1k", "videos": 9, "label": "MOS", "note": ""}
    crossed = {
        **one.results,
        "data": data,
        "trained_on": "sample",
        "inputs": {"labels": "2cd"},
        "mapping": "logistic",
        "ranges": {"trained": [0, 100], "tested": [1, 5]},
    }
    sheet = results_table.of_runs([replace(one, crossed=[crossed]), other])
    assert [column.dataset for column in columns(sheet)] == [
        name for name in ("sample", "KoNViD-1k", "W.A.") for _ in range(2)
    ]
    assert columns(sheet)[2].ours[1] == "–"
    assert sheet["weighted_average"].keys() == {"demo"}
    assert any(note.startswith("demo on KoNViD-1k: Trained on sample") for note in notes(sheet))


def test_table_page_has_a_section_for_each_run(
    several: tuple[Path, list[tuple[Run, Examples]]], tmp_path: Path
) -> None:
    runs = several[1]
    found = runs[0][0]
    rows: dict[str, dict[str, RunResults | str]] = {
        "SQ": {"sample": RunResults(found.path, found.results)},
        "MS": {"sample": "no weights"},
    }
    datasets = {"sample": Data("sample", 0, "VMAF")}
    sheet = results_table.of_rows("Table 4: Features", rows, datasets, 4)
    path = runs_page.write_table(tmp_path / "table4", sheet, runs[:1])
    page = whole(path.read_text("utf-8"), "table")
    shown = " ".join(page.texts)
    assert "The paper, on other data" in shown
    assert "0.7764" in shown  # SQ on LIVE-Qualcomm
    assert "– MS on sample: no weights" in shown
    assert json.loads((tmp_path / "table4" / "table.json").read_text())["title"] == sheet["title"]


def test_varied_fields_are_those_that_differ() -> None:
    configs: list[dict[str, Any]] = [
        {"name": "a", "x": {"y": 1, "z": [1, 2]}},
        {"name": "b", "x": {"y": 1}, "w": 0},
    ]
    assert runs_page.varied(configs) == {"x.z": ["1, 2", "–"], "w": ["–", "0"]}
