"""Reading of runs for reports, with results on other data sets."""

import json
from pathlib import Path

import pytest

from a2inet_jax.pipeline import evaluate, report
from a2inet_jax.report import make_table, run_files
from a2inet_jax.report.columns import columns
from tests.trained_runs import extract, make_run, relabel, working_folder

RUN_ONE, RUN_TWO = Path("runs/one"), Path("runs/two")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make two runs that were trained on `mine` and tested on `mine` and `theirs`."""
    working_folder(tmp_path, monkeypatch)
    extract("theirs")
    make_run("one")
    make_run("two", 20.0)
    assert evaluate.evaluate_runs([RUN_ONE, RUN_TWO], ["mine", "theirs"]) == 0
    return tmp_path


def test_table_of_runs_has_results_on_other_data_and_averages() -> None:
    table = make_table.of_runs([run_files.read(RUN_ONE), run_files.read(RUN_TWO)])
    assert table.weighted_average.keys() == {"one", "two"}
    assert [column.dataset for column in columns(table)][::2] == ["./mine", "theirs/", "W.A."]
    assert table.notes == []


def test_results_of_another_model_are_left_out() -> None:
    (RUN_ONE / "model.safetensors").write_bytes(b"another")
    run = run_files.read(RUN_ONE)
    assert run.cross_results == []
    (text,) = run.outdated
    assert text == (
        "Results on theirs/ are left out: the run has another model now. "
        "`a2inet evaluate runs/one --datasets=theirs` computes them again."
    )
    table = make_table.of_runs([run, run_files.read(RUN_TWO)])
    assert table.notes == [f"one: {text}"]
    assert table.rows[0].cells.keys() == {"./mine"}


def test_results_by_other_labels_are_left_out(home: Path) -> None:
    relabel(home / "theirs", content="c5")
    run = run_files.read(RUN_ONE)
    assert run.cross_results == []
    assert "the data set has other labels now" in run.outdated[0]
    (home / "theirs" / "labels.csv").unlink()  # its labels cannot be compared any more
    assert len(run_files.read(RUN_ONE).cross_results) == 1


def test_results_of_an_earlier_version_are_left_out() -> None:
    (file,) = RUN_ONE.glob("cross/*/metrics.json")
    results = json.loads(file.read_text())
    del results["inputs"]["labels"]
    file.write_text(json.dumps(results))
    assert "an earlier version wrote them" in run_files.read(RUN_ONE).outdated[0]


def test_runs_with_different_labels_are_reported(home: Path) -> None:
    relabel(home / "mine", mos=11.0)
    make_run("three", 20.0)
    assert evaluate.evaluate_runs([Path("runs/three")], []) == 0
    runs = [run_files.read(run) for run in (RUN_ONE, RUN_TWO, Path("runs/three"))]
    (note,) = make_table.of_runs(runs).notes
    assert note.startswith("./mine: these runs have different labels or contents")
    assert note.endswith("one, two; three")


def test_page_of_a_run_has_results_on_other_data(home: Path) -> None:
    report.report_runs([RUN_ONE])
    page = (RUN_ONE / "report.html").read_text("utf-8")
    section = page[page.index("Results on other data sets") :]
    (file,) = RUN_ONE.glob("cross/*/metrics.json")
    found = json.loads(file.read_text())["models"]["vsfa"]
    for metric in ("srcc", "plcc"):
        assert f"{found['summary'][metric]['median']:.3f}".replace("-", "−") in section
        bounds = "–".join(f"{bound:.3f}" for bound in found["interval"][metric])
        assert bounds.replace("-", "−") in section
    assert "Trained on ./mine (labels 10 to 79), tested on theirs/ (0.5 to 3.95)" in section
    more = json.loads((RUN_ONE / "results.json").read_text())["more"]
    assert [table["title"] for table in more] == ["one on other data sets"]
    relabel(home / "theirs", mos=9.0)
    report.report_runs([RUN_ONE])
    section = (
        (RUN_ONE / "report.html").read_text("utf-8").partition("Results on other data sets")[2]
    )
    assert "are left out: the data set has other labels now" in section
    assert "Trained on" not in section
    (file,) = RUN_TWO.glob("cross/*/metrics.json")
    file.unlink()
    report.report_runs([RUN_TWO])
    assert "Results on other data sets" not in (RUN_TWO / "report.html").read_text("utf-8")
