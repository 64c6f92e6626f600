"""The report pages, from run folders as training and evaluation leave them."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from a2inet_jax.datasets import splits as split_files
from a2inet_jax.evaluation import predictions, protocol
from a2inet_jax.evaluation.metrics import fit_logistic
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.report import examples, plots, run_page
from a2inet_jax.report.sections import Examples
from tests.page_reader import Page, whole
from tests.run_inputs import make_run, save_results


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Examples]:
    run = tmp_path_factory.mktemp("runs") / "demo"
    cases = make_run(run)
    run_page.write(run, cases)
    return run, cases


@pytest.fixture
def run(made: tuple[Path, Examples], tmp_path: Path) -> Path:
    """A copy of the run, without its page, for a test to spoil."""
    return shutil.copytree(made[0], tmp_path / "demo", ignore=shutil.ignore_patterns("*.html"))


def test_page_shows_the_run(made: tuple[Path, Examples]) -> None:
    run, cases = made
    text = (run / "report.html").read_text("utf-8")
    page = whole(text, "results")
    results = json.loads((run / "metrics.json").read_text())
    ours = results["models"]["a2inet"]
    shown = " ".join(page.texts)
    for metric in ("srcc", "plcc", "krcc"):
        assert f"{ours['summary'][metric]['median']:.3f}" in shown
        assert "–".join(f"{bound:.3f}" for bound in ours["interval"][metric]) in shown
    assert "A2INet − SVR on mean-pooled features: +" in shown
    assert "a metric's opinion, not people's" in shown
    assert "ab" * 32 in shown
    clips = [*cases.best, *cases.worst]
    for clip in clips:
        assert clip.video_id in page.texts
        assert f"{clip.mos:.1f}" in page.texts
    assert len(page.images) == 3 * len(clips)
    assert all(image["alt"] for image in page.images)
    assert text.count("<svg") == 3 + len(clips)
    assert text.count('role="img" aria-label="') == text.count("<svg")
    # A2INet, which has the least noise, is the best in all four columns.
    assert text.count('class="best"') == 4
    row = re.search(r'<tr class="ours">(.*?)</tr>', text)
    assert row
    assert row[1].count('<td class="best">') == 4


def test_same_run_gives_the_same_bytes(made: tuple[Path, Examples]) -> None:
    run, cases = made
    files = ["report.html", "results.csv", "results.json", "results.tex"]
    before = [(run / file).read_bytes() for file in files]
    run_page.write(run, cases)
    assert [(run / file).read_bytes() for file in files] == before
    assert list(run.glob("*.part")) == []


def test_paper_stands_beside_a_run_of_its_settings(run: Path, tmp_path: Path) -> None:
    rows = [(2, "A2INet FR(S+S)"), (6, "CGIN (S+S)")]
    text = run_page.write(run, Examples(), rows).read_text("utf-8")
    assert "The networks here: resnet18_fdim and efficientnet_lite0." in text
    assert "in the paper" not in text  # it has no results on the sample data set
    assert "The paper, on other data: compare the order, not the values (SRCC)." in text
    page = whole(text, "results")
    at = page.texts.index("Table 6: CGIN (S+S)")
    results = json.loads((run / "metrics.json").read_text())
    here = f"{results['models']['a2inet']['summary']['srcc']['median']:.3f}"
    # The paper's data sets in the order of its Table 2: the last is KoNViD-1k.
    assert next(text for text in page.texts[at + 1 :] if text) == here
    assert "0.8695" in page.texts[at + 1 : at + 12]
    results = json.loads((run / "metrics.json").read_text())
    results["data"]["name"] = "KoNViD-1k"
    (run / "metrics.json").write_text(json.dumps(results))
    run_page.write(run, Examples(), rows, tmp_path / "elsewhere")
    page = whole((tmp_path / "elsewhere" / "report.html").read_text("utf-8"), "results")
    at = page.texts.index("Table 2: A2INet FR(S+S)")
    ours = [f"{results['models']['a2inet']['summary'][m]['median']:.3f}" for m in ("plcc", "srcc")]
    assert [text for text in page.texts[at + 1 :] if text][:4] == [
        ours[0],
        "0.8668",
        ours[1],
        "0.8695",
    ]
    lines = list(csv.DictReader((tmp_path / "elsewhere" / "results.csv").read_text().splitlines()))
    found = [line for line in lines if line["table"] == "6" and line["metric"] == "srcc"]
    assert [(line["row"], line["paper"]) for line in found] == [("CGIN (S+S)", "0.8695")]


@pytest.mark.parametrize(
    "name",
    ["config.json", "environment.json", "splits.json", "metrics.json", "predictions.csv",
     "a2inet/metrics.csv"],
)  # fmt: skip
def test_missing_file_is_named(name: str, run: Path) -> None:
    (run / name).unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(name)):
        run_page.write(run, Examples())
    assert not (run / "report.html").exists()


def test_broken_file_is_named(run: Path) -> None:
    results = json.loads((run / "metrics.json").read_text())
    (run / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is not JSON"):
        run_page.write(run, Examples())
    (run / "config.json").write_text("{}")
    (run / "a2inet" / "metrics.csv").write_text("split,epoch\n0,0\n")
    with pytest.raises(ValueError, match=r"metrics\.csv needs .*train_loss"):
        run_page.write(run, Examples())
    del results["paired"]
    (run / "metrics.json").write_text(json.dumps(results))
    with pytest.raises(ValueError, match=r"metrics\.json is of an earlier version"):
        run_page.write(run, Examples())


def test_odd_runs_are_told_not_hidden(run: Path) -> None:
    rows = predictions.read(run / "predictions.csv")
    rows = [row._replace(score=50.0) if row.split == 4 else row for row in rows]
    data = protocol.Data("<mine>", 120, "MOS $x$")
    parts = split_files.read(run / "splits.json")
    save_results(run, {"a2inet": rows, "<b>&": rows}, data, "best_test", parts)
    (run / "a2inet" / "metrics.csv").write_text("split,epoch,train_loss,val_srcc\n0,0,0.5,\n")
    missing = Examples(missing="<there> are no videos")
    text = run_page.write(run, missing).read_text("utf-8")
    page = Page(text)
    shown = " ".join(page.texts)
    assert "optimistic" in shown
    assert "4: constant scores" in shown
    assert shown.count("†") == 3  # PLCC and RMSE of split 4, and the note
    assert "A2INet: all scores or all labels are equal in 1 of 5 splits" in shown
    assert "A2INet: no logistic could be fitted in 1 of 5 splits" in shown
    assert "A2INet on the <mine> data set" in page.texts
    assert "No best and worst cases: <there> are no videos" in page.texts
    assert "<b>&" in page.texts
    assert "<mine>" not in text
    assert "<there>" not in text


def test_best_cases_span_the_labels_and_worst_are_the_largest_errors() -> None:
    rng = np.random.default_rng(0)
    rows = [
        Prediction(split, f"v{i:02d}", float(i), float(i + rng.normal(0, 3)))
        for split in range(3)
        for i in range(30)
    ]
    best, worst = examples.choose(rows, 3)
    error = {row: abs(row.score - row.mos) for row in rows}
    assert worst[0] == max(rows, key=error.__getitem__)
    assert len({row.video for row in best + worst}) == 6
    assert [error[row] for row in worst] == sorted((error[row] for row in worst), reverse=True)
    largest = sorted(max(error[r] for r in rows if r.video == v) for v in {r.video for r in rows})
    assert [error[row] for row in worst] == largest[:-4:-1]
    rest = sorted({row.mos for row in rows} - {row.mos for row in worst})
    for place, row in enumerate(best):
        third = rest[9 * place : 9 * place + 9]
        assert row == min((r for r in rows if r.mos in third), key=error.__getitem__)


def test_few_videos_make_few_cases() -> None:
    best, worst = examples.choose([Prediction(0, "a", 1.0, 2.0), Prediction(0, "b", 1.0, 1.5)], 4)
    assert [row.video for row in worst] == ["a", "b"]
    assert best == []


def test_many_points_become_a_picture() -> None:
    x = np.linspace(0, 1, plots.MANY_POINTS + 1)
    drawn = plots.scatter(x, x, fit_logistic(x, x), "MOS", "many")
    assert "data:image/png;base64" in drawn
    assert len(drawn) < 200_000
    few = plots.scatter(x[:100], x[:100], fit_logistic(x[:3], x[:3]), "MOS", "few")
    assert "data:image" not in few
    assert "fitted logistic" not in few  # no curve where there is no fit


def test_curves_are_the_mean_over_splits() -> None:
    history = [
        {"split": s, "epoch": e, "train_loss": 1.0 / (e + 1) + s, "val_srcc": float("nan")}
        for s in range(2)
        for e in range(3)
    ]
    drawn = plots.learning_curves(history, "curves")
    assert "training loss" in drawn
    assert "validation" not in drawn
