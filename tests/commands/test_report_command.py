"""`a2inet report` and the pages of tables, on runs as evaluation leaves them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from a2inet_jax.pipeline import report
from a2inet_jax.report import make_table, run_files
from a2inet_jax.report.table import Row
from tests.run_inputs import make_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    make_run(folder / "demo")
    shutil.copytree(folder / "demo", folder / "wide")
    config = json.loads((folder / "wide" / "config.json").read_text())
    config["name"], config["model"]["width"], config["paper_row"] = "wide", 512, ""
    (folder / "wide" / "config.json").write_text(json.dumps(config))
    return [folder / "demo", folder / "wide"]


def test_one_run_has_its_own_page(
    runs: list[Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    # Its videos are not there: the page says so, and the exit code does.
    assert report.report_runs(runs[:1]) == 1
    assert "No clips: " in capsys.readouterr().out
    page = (runs[0] / "report.html").read_text()
    assert "Examples of predictions cannot be shown: " in page
    assert "Table 2: A2INet FR(S+S)" in page  # whose settings the sample's are
    assert report.report_runs([runs[0], runs[0].parent / "." / "demo"], tmp_path / "out") == 1
    assert (tmp_path / "out" / "report.html").read_text() == page


def test_a_run_on_data_that_is_gone_has_a_page(
    runs: list[Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = tmp_path / "own"
    shutil.copytree(runs[0], run)
    config = json.loads((run / "config.json").read_text())
    for name in ("clips/labels.csv", "clips"):  # a folder without a slash is known by being there
        config["data"]["name"] = name
        (run / "config.json").write_text(json.dumps(config))
        assert report.report_runs([run]) == 1
        assert "No clips: " in capsys.readouterr().out
        assert "Examples of predictions cannot be shown: " in (run / "report.html").read_text()


def test_several_runs_have_one_page(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert report.report_runs(runs) == 1
    page = (tmp_path / "runs" / "report" / "report.html").read_text()
    assert "demo and wide" in page
    assert page.count("Examples of predictions cannot be shown: ") == 2
    assert (tmp_path / "runs" / "report" / "results.tex").is_file()
    assert "demo · Table 2: A2INet FR(S+S)" in page  # the other's width is in no table
    assert "wide · " not in page
    # Their videos are not there to be asked for their contents.
    assert "demo and wide are not compared: " in page
    results = json.loads((tmp_path / "runs" / "report" / "results.json").read_text())
    assert results["comparisons"]
    assert {each["table"] for each in results["more"]} >= {2, 7}


def test_run_without_results_is_an_error(runs: list[Path], tmp_path: Path) -> None:
    for missing in (tmp_path / "none", tmp_path / "begun"):
        if missing.name == "begun":
            shutil.copytree(runs[0], missing)
            (missing / "metrics.json").unlink()
        for chosen in ([missing], [runs[0], missing]):
            with pytest.raises(FileNotFoundError, match=r"metrics\.json is missing: .*evaluate"):
                report.report_runs(chosen, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_table_has_each_run_once(runs: list[Path], tmp_path: Path) -> None:
    sheet = make_table.of_runs([run_files.read(run) for run in runs])
    again = replace(sheet.rows[0], name="the same run again")
    sheet = replace(sheet, rows=[*sheet.rows, again, Row("left out", {"sample": "no weights"})])
    path = report.report_table(sheet, tmp_path / "table")
    page = path.read_text()
    assert page.count('<details class="run">') == 2
    assert "no weights" in page
    assert (tmp_path / "table" / "table.csv").is_file()
