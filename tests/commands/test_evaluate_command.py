"""`a2inet evaluate` on runs that are made here."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from a2inet_jax.datasets import registry, splits
from a2inet_jax.errors import RunError
from a2inet_jax.evaluation import predictions
from a2inet_jax.pipeline import evaluate
from tests.trained_runs import (
    VIDEOS,
    crossed,
    extract,
    make_run,
    relabel,
    working_folder,
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    working_folder(tmp_path, monkeypatch)
    return tmp_path


def test_metrics_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    config = make_run()
    assert evaluate.evaluate(config) == 0
    path = Path("runs/one/metrics.json")
    results = json.loads(path.read_text())
    assert results["data"]["videos"] == VIDEOS
    assert results["models"].keys() == {"vsfa", "concat"}
    for model in results["models"].values():
        low, high = model["interval"]["srcc"]
        assert low < high
    assert results["paired"]["concat"]["p"] is not None
    shown = capsys.readouterr().out
    assert "VSFA head − A2INet, concatenation for CAGI:" in " ".join(shown.split())
    for metric in ("SRCC ↑", "PLCC ↑", "KRCC ↑", "RMSE ↓"):
        assert f"{metric} (std)" in shown
    before = path.read_bytes()
    assert evaluate.evaluate(config) == 0
    assert path.read_bytes() == before


def test_a_run_that_learned_nothing_is_evaluated(capsys: pytest.CaptureFixture[str]) -> None:
    config = make_run()
    path = Path("runs/one/vsfa/predictions.csv")
    predictions.write(path, [row._replace(score=3.0) for row in predictions.read(path)])
    assert evaluate.evaluate(config) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "VSFA head: all scores or all labels are equal in 3 of 3 splits" in shown
    assert "in 3 of 3 splits (constant scores)" in shown


@pytest.mark.parametrize("damage", ["half", "part", "twice"])
def test_predictions_that_are_not_whole_are_refused(damage: str) -> None:
    config = make_run()
    path = Path("runs/one/concat/predictions.csv")
    rows = predictions.read(path)
    text = {"half": rows[:11], "part": [r for r in rows if r.split], "twice": [*rows, rows[0]]}
    predictions.write(path, text[damage])
    with pytest.raises(RunError, match=r"concat/predictions\.csv lacks .*train"):
        evaluate.evaluate(config)


def test_runs_of_equal_splits_are_compared_whichever_comes_first(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run("other", shift=1)
    make_run("one")
    make_run("two", noise=20.0)
    runs = [Path("runs") / name for name in ("other", "one", "two")]
    assert evaluate.evaluate_runs(runs, []) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "other and one are not compared: their splits differ." in shown
    assert "one − two on ./mine: " in shown
    assert "two − " not in shown


def test_another_config_is_refused() -> None:
    config = make_run()
    with pytest.raises(RunError, match=r"seed: 0 there, 1 now"):
        evaluate.evaluate(replace(config, seed=1))


def test_runs_by_data_sets(capsys: pytest.CaptureFixture[str]) -> None:
    for name, noise, shift in (("one", 15.0, 0), ("[two]", 20.0, 0), ("three", 17.0, 1)):
        make_run(name, noise, shift)
    extract("theirs")
    runs = [Path("runs") / name for name in ("one", "[two]", "three")]
    assert evaluate.evaluate_runs(runs, ["mine", "theirs"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "W.A." in shown
    assert "3 runs · mine/" in shown
    assert "one − [two] on ./mine: " in shown
    assert "one and three are not compared: their splits differ." in shown
    for run in runs:
        assert (crossed(run.name) / "metrics.json").is_file()
    assert evaluate.evaluate_runs(runs[:1], []) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "W.A." not in shown
    assert "compared" not in shown


def test_a_run_alone_on_its_data_set_is_compared_with_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_run("one")
    make_run("two", dataset="theirs")
    assert evaluate.evaluate_runs([Path("runs/one"), Path("runs/two")], []) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "two is compared with none: it alone is on theirs/." in shown


@pytest.mark.parametrize("change", [{"mos": 11.0}, {"content": "c5"}])
def test_results_of_other_labels_or_contents_are_refused(
    home: Path, change: dict[str, Any]
) -> None:
    config = make_run()
    relabel(home / "mine", **change)
    with pytest.raises(RunError, match=r"inputs\.labels") as raised:
        evaluate.evaluate(config)
    assert "remove the folder to train again, or give this run another name" in str(raised.value)
    assert len(str(raised.value)) < 200  # hashes are shown by their first digits


def test_results_of_other_splits_are_refused() -> None:
    config = make_run()
    splits.save(splits.read(Path("runs/one/splits.json"))[::-1], Path("runs/one/splits.json"))
    with pytest.raises(RunError, match=r"inputs\.splits"):
        evaluate.evaluate(config)


def test_what_is_there_is_shown_and_what_is_not_is_reported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run()
    monkeypatch.setattr(evaluate, "extract", lambda _: 1)  # it lists what failed
    assert evaluate.evaluate_runs([Path("runs/one")], ["./mine", "./theirs"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "24 of 24 videos, v00.mp4 the first" in shown
    assert "one · ./mine" in shown
    assert "one · ./theirs" not in shown
    assert evaluate.evaluate_runs([Path("runs/one")], ["./theirs"]) == 1


def test_runs_are_compared_on_what_was_measured_just_now(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = []
    for name, noise in (("one", 15.0), ("two", 20.0)):
        make_run(name, noise)
        runs.append(Path("runs") / name)
    extract("theirs")
    assert evaluate.evaluate_runs(runs, ["theirs"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "2 runs · theirs/" in shown
    assert "compared" not in shown
    assert "one − two" not in shown
    # Labels that changed since stand against the runs' own data set alone.
    assert evaluate.evaluate_runs(runs, []) == 0
    capsys.readouterr()
    relabel(home / "mine", mos=11.0)
    assert evaluate.evaluate_runs(runs, ["mine", "theirs"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.count("inputs.labels") == 2
    assert "2 runs · theirs/" in shown
    assert "2 runs · mine/" not in shown
    assert "one − two" not in shown


def test_a_run_that_is_not_there_does_not_stop_the_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run("one")
    make_run("two")
    Path("runs/two/vsfa/predictions.csv").unlink()
    runs = [Path("runs") / name for name in ("none", "two", "one")]
    extract("theirs")
    asked: list[str] = []

    def extracted(config: Any) -> int:
        asked.append(config.name)
        return 0

    monkeypatch.setattr(evaluate, "extract", extracted)
    assert evaluate.evaluate_runs(runs, ["mine", "theirs"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "runs/none holds no run (config.json is missing)" in shown
    assert "runs/two: `a2inet train` has not finished with vsfa" in shown
    assert "one · mine/" in shown
    assert asked == ["one"]  # nothing is extracted for a run that can't be measured


def test_a_data_set_that_is_not_there_does_not_stop_the_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run()
    extract("theirs")

    def extracted(config: Any) -> int:
        registry.load(config.data.name, Path("data"))
        return 0

    monkeypatch.setattr(evaluate, "extract", extracted)
    assert evaluate.evaluate_runs([Path("runs/one")], ["theirs", "./gone.csv"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "runs/one on ./gone.csv: " in shown
    assert "one · theirs/" in shown
    assert "gone.csv" not in shown[shown.index("one · theirs/") :]
    with pytest.raises(ValueError, match="no data set 'kovid'"):
        evaluate.evaluate_runs([Path("runs/one")], ["theirs", "kovid"])


def test_a_data_set_of_two_spellings_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    make_run("one")
    make_run("two", dataset="mine/labels.csv")
    runs = [Path("runs/one"), Path("runs/two"), Path("runs/../runs/one")]
    assert evaluate.evaluate_runs(runs, []) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.count("2 runs · ") == 1
    assert "W.A." not in shown
    assert "one − two" in shown
    assert evaluate.evaluate_runs(runs, ["mine", "./mine", "mine/labels.csv"]) == 0
    assert "W.A." not in capsys.readouterr().out
