"""The page of a run, from a folder as training and evaluation write it."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from a2inet_jax.datasets import splits as split_files
from a2inet_jax.errors import RunError
from a2inet_jax.evaluation import predictions, protocol
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.metrics import fit_logistic
from a2inet_jax.report import examples as example_choice
from a2inet_jax.report import plots, run_page
from a2inet_jax.report.sections import Examples
from tests.page_reader import Page, read_page
from tests.run_inputs import make_run, save_results


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Examples]:
    run = tmp_path_factory.mktemp("runs") / "demo"
    examples = make_run(run)
    run_page.write(run, examples)
    return run, examples


@pytest.fixture
def run(made: tuple[Path, Examples], tmp_path: Path) -> Path:
    """Copy the run without its page, for a test to change."""
    return shutil.copytree(made[0], tmp_path / "demo", ignore=shutil.ignore_patterns("*.html"))


def test_page_shows_the_run(made: tuple[Path, Examples]) -> None:
    run, examples = made
    text = (run / "report.html").read_text("utf-8")
    page = read_page(text, "results")
    results = json.loads((run / "metrics.json").read_text())
    ours = results["models"]["a2inet"]
    shown = " ".join(page.texts)
    for metric in ("srcc", "plcc", "krcc"):
        assert f"{ours['summary'][metric]['median']:.3f}" in shown
        assert "–".join(f"{bound:.3f}" for bound in ours["interval"][metric]) in shown
    assert "A2INet − SVR on mean-pooled features: +" in shown
    assert "a metric's opinion, not people's" in shown
    assert "ab" * 32 in shown
    both = [*examples.best, *examples.worst]
    for example in both:
        assert example.video_id in page.texts
        assert f"{example.mos:.1f}" in page.texts
    assert len(page.images) == 3 * len(both)
    assert all(image["alt"] for image in page.images)
    assert text.count("<svg") == 3 + len(both)
    assert text.count('role="img" aria-label="') == text.count("<svg")
    # A2INet has the least noise and is the best in all four columns.
    assert text.count('class="best"') == 4
    row = re.search(r'<tr class="ours">(.*?)</tr>', text)
    assert row
    assert row[1].count('<td class="best">') == 4


def test_same_run_gives_the_same_bytes(made: tuple[Path, Examples]) -> None:
    run, examples = made
    files = ["report.html", "results.csv", "results.json", "results.tex"]
    before = [(run / file).read_bytes() for file in files]
    run_page.write(run, examples)
    assert [(run / file).read_bytes() for file in files] == before
    assert list(run.glob("*.part")) == []


def test_a_run_is_compared_with_the_papers_rows_of_its_settings(run: Path, tmp_path: Path) -> None:
    rows = [(2, "A2INet FR(S+S)"), (6, "CGIN (S+S)")]
    text = run_page.write(run, Examples(), rows).read_text("utf-8")
    assert "which use the networks resnet18_fdim and efficientnet_lite0." in text
    assert "in the paper" not in text  # the paper does not have the sample data set
    assert (
        "Results of the paper on other data sets: compare the ranking, not the values (SRCC)."
        in text
    )
    page = read_page(text, "results")
    at = page.texts.index("Table 6: CGIN (S+S)")
    results = json.loads((run / "metrics.json").read_text())
    our_srcc = f"{results['models']['a2inet']['summary']['srcc']['median']:.3f}"
    # The data sets are in the order of the paper's Table 2, whose last is KoNViD-1k.
    assert next(text for text in page.texts[at + 1 :] if text) == our_srcc
    assert "0.8695" in page.texts[at + 1 : at + 12]
    results = json.loads((run / "metrics.json").read_text())
    results["data"]["name"] = "KoNViD-1k"
    (run / "metrics.json").write_text(json.dumps(results))
    run_page.write(run, Examples(), rows, tmp_path / "elsewhere")
    page = read_page((tmp_path / "elsewhere" / "report.html").read_text("utf-8"), "results")
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
     "a2inet/history.csv"],
)  # fmt: skip
def test_a_missing_file_is_named(name: str, run: Path) -> None:
    (run / name).unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(name)):
        run_page.write(run, Examples())
    assert not (run / "report.html").exists()


def test_an_unreadable_file_is_named(run: Path) -> None:
    results = json.loads((run / "metrics.json").read_text())
    (run / "config.json").write_text("{")
    with pytest.raises(RunError, match=r"config\.json is not JSON"):
        run_page.write(run, Examples())
    (run / "config.json").write_text("{}")
    (run / "a2inet" / "history.csv").write_text("split,epoch\n0,0\n")
    with pytest.raises(RunError, match=r"history\.csv needs .*train_loss"):
        run_page.write(run, Examples())
    del results["paired"]
    (run / "metrics.json").write_text(json.dumps(results))
    with pytest.raises(RunError, match=r"metrics\.json was written by an earlier version"):
        run_page.write(run, Examples())


def test_unusual_results_are_reported(run: Path) -> None:
    rows = predictions.read(run / "predictions.csv")
    rows = [row._replace(score=50.0) if row.split == 4 else row for row in rows]
    data = protocol.EvaluatedDataset("<mine>", 120, "MOS $x$")
    splits = split_files.read(run / "splits.json")
    save_results(run, {"a2inet": rows, "<b>&": rows}, data, "best_test", splits)
    (run / "a2inet" / "history.csv").write_text("split,epoch,train_loss,val_srcc\n0,0,0.5,\n")
    missing = Examples(reason_missing="<there> are no videos")
    text = run_page.write(run, missing).read_text("utf-8")
    page = Page(text)
    shown = " ".join(page.texts)
    assert "optimistic" in shown
    assert "4: constant scores" in shown
    assert shown.count("†") == 3  # PLCC and RMSE of split 4, and the note
    assert "A2INet: all scores or all labels are equal in 1 of 5 splits" in shown
    assert "A2INet: no logistic could be fitted in 1 of 5 splits" in shown
    assert "A2INet on the <mine> data set" in page.texts
    assert "Examples of predictions cannot be shown: <there> are no videos" in page.texts
    assert "<b>&" in page.texts
    assert "<mine>" not in text
    assert "<there>" not in text


def test_best_predictions_span_the_labels_and_worst_have_the_largest_errors() -> None:
    rng = np.random.default_rng(0)
    rows = [
        Prediction(split, f"v{i:02d}", float(i), float(i + rng.normal(0, 3)))
        for split in range(3)
        for i in range(30)
    ]
    best, worst = example_choice.choose(rows, 3)
    error = {row: abs(row.score - row.mos) for row in rows}
    assert worst[0] == max(rows, key=error.__getitem__)
    assert len({row.video for row in best + worst}) == 6
    assert [error[row] for row in worst] == sorted((error[row] for row in worst), reverse=True)
    largest = sorted(max(error[r] for r in rows if r.video == v) for v in {r.video for r in rows})
    assert [error[row] for row in worst] == largest[:-4:-1]
    rest = sorted({row.mos for row in rows} - {row.mos for row in worst})
    for i, row in enumerate(best):
        third = rest[9 * i : 9 * i + 9]
        assert row == min((r for r in rows if r.mos in third), key=error.__getitem__)


def test_few_videos_give_few_examples() -> None:
    best, worst = example_choice.choose(
        [Prediction(0, "a", 1.0, 2.0), Prediction(0, "b", 1.0, 1.5)], 4
    )
    assert [row.video for row in worst] == ["a", "b"]
    assert best == []


def test_many_points_are_rasterised() -> None:
    x = np.linspace(0, 1, plots.MAX_VECTOR_POINTS + 1)
    svg = plots.scatter(x, x, fit_logistic(x, x), "MOS", "many")
    assert "data:image/png;base64" in svg
    assert len(svg) < 200_000
    few = plots.scatter(x[:100], x[:100], fit_logistic(x[:3], x[:3]), "MOS", "few")
    assert "data:image" not in few
    assert "fitted logistic" not in few  # no fit, no curve


def test_learning_curves_without_validation() -> None:
    history = [
        {"split": s, "epoch": e, "train_loss": 1.0 / (e + 1) + s, "val_srcc": float("nan")}
        for s in range(2)
        for e in range(3)
    ]
    svg = plots.learning_curves(history, "curves")
    assert "training loss" in svg
    assert "validation" not in svg
