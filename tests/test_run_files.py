"""Runs as reports read them, after they were tested on other data sets."""

import json
from pathlib import Path

import pytest

from a2inet_jax.pipeline import evaluate, report
from a2inet_jax.report import results_table, run_files
from a2inet_jax.report.columns import columns
from tests.trained_runs import extract, make_run, relabel, working_folder

ONE, TWO = Path("runs/one"), Path("runs/two")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs on `mine` that were tested on `theirs`, too."""
    working_folder(tmp_path, monkeypatch)
    extract("theirs")
    make_run("one")
    make_run("two", 20.0)
    assert evaluate.evaluate_runs([ONE, TWO], ["mine", "theirs"]) == 0
    return tmp_path


def test_results_on_other_data_are_kept_with_their_average() -> None:
    sheet = results_table.of_runs([run_files.read(ONE), run_files.read(TWO)])
    assert sheet["weighted_average"].keys() == {"one", "two"}
    assert [column.dataset for column in columns(sheet)][::2] == ["./mine", "theirs/", "W.A."]
    assert sheet["notes"] == []


def test_results_of_another_model_are_left_out() -> None:
    (ONE / "model.safetensors").write_bytes(b"another")
    run = run_files.read(ONE)
    assert run.crossed == []
    (said,) = run.left_out
    assert said == (
        "Results on theirs/ are left out: the run has another model now. "
        "`a2inet evaluate runs/one --datasets=theirs` makes them anew."
    )
    sheet = results_table.of_runs([run, run_files.read(TWO)])
    assert sheet["notes"] == [f"one: {said}"]
    assert sheet["rows"][0]["cells"].keys() == {"./mine"}


def test_results_by_other_labels_are_left_out(home: Path) -> None:
    relabel(home / "theirs", content="c5")
    run = run_files.read(ONE)
    assert run.crossed == []
    assert "the data set has other labels now" in run.left_out[0]
    (home / "theirs" / "labels.csv").unlink()  # it can't be asked
    assert len(run_files.read(ONE).crossed) == 1


def test_results_of_an_earlier_version_are_left_out() -> None:
    (file,) = ONE.glob("cross/*/metrics.json")
    results = json.loads(file.read_text())
    del results["inputs"]["labels"]
    file.write_text(json.dumps(results))
    assert "an earlier version wrote them" in run_files.read(ONE).left_out[0]


def test_runs_of_other_labels_in_a_column_are_told(home: Path) -> None:
    relabel(home / "mine", mos=11.0)
    make_run("three", 20.0)
    assert evaluate.evaluate_runs([Path("runs/three")], []) == 0
    runs = [run_files.read(run) for run in (ONE, TWO, Path("runs/three"))]
    (said,) = results_table.of_runs(runs)["notes"]
    assert said.startswith("./mine: these runs have different labels or contents")
    assert said.endswith("one, two; three")


def test_the_page_of_a_run_shows_its_results_on_other_data(home: Path) -> None:
    report.report_runs([ONE])
    page = (ONE / "report.html").read_text("utf-8")
    section = page[page.index("On other data sets") :]
    (file,) = ONE.glob("cross/*/metrics.json")
    found = json.loads(file.read_text())["models"]["vsfa"]
    for metric in ("srcc", "plcc"):
        assert f"{found['summary'][metric]['median']:.3f}".replace("-", "−") in section
        bounds = "–".join(f"{bound:.3f}" for bound in found["interval"][metric])
        assert bounds.replace("-", "−") in section
    assert "Trained on ./mine (labels 10 to 79), tested on theirs/ (0.5 to 3.95)" in section
    more = json.loads((ONE / "results.json").read_text())["more"]
    assert [sheet["title"] for sheet in more] == ["one on other data sets"]
    relabel(home / "theirs", mos=9.0)
    report.report_runs([ONE])
    section = (ONE / "report.html").read_text("utf-8").partition("On other data sets")[2]
    assert "are left out: the data set has other labels now" in section
    assert "Trained on" not in section
    (file,) = TWO.glob("cross/*/metrics.json")
    file.unlink()
    report.report_runs([TWO])
    assert "On other data sets" not in (TWO / "report.html").read_text("utf-8")
