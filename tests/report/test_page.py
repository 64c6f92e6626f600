"""The pages of a run, of several runs, and of a table of the paper."""

import csv
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from a2inet_jax.datasets import splits as split_files
from a2inet_jax.datasets.video import Video
from a2inet_jax.errors import RunError
from a2inet_jax.evaluation import predictions, protocol
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.evaluation.protocol import EvaluatedDataset
from a2inet_jax.metrics import MIN_POINTS, fit_logistic
from a2inet_jax.report import examples as example_choice
from a2inet_jax.report import make_table, page, plots, run_files
from a2inet_jax.report.columns import columns, notes
from a2inet_jax.report.examples import Examples
from a2inet_jax.report.make_table import PaperRow
from a2inet_jax.report.run_files import Run
from a2inet_jax.report.table import RunResults
from tests.page_reader import Page, read_page
from tests.run_inputs import make_run, save_results


def write_page(
    run: Path, examples: Examples, rows: Sequence[PaperRow] = (), folder: Path | None = None
) -> Path:
    """Write the page of a run's folder."""
    return page.write(folder or run, [(run_files.read(run), examples)], (), [rows])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Examples]:
    run = tmp_path_factory.mktemp("runs") / "demo"
    examples = make_run(run)
    write_page(run, examples)
    return run, examples


@pytest.fixture
def run(made: tuple[Path, Examples], tmp_path: Path) -> Path:
    """Copy the run without its page, for a test to change."""
    return shutil.copytree(made[0], tmp_path / "demo", ignore=shutil.ignore_patterns("*.html"))


def test_page_shows_the_run(made: tuple[Path, Examples]) -> None:
    run, examples = made
    text = (run / "report.html").read_text("utf-8")
    parsed = read_page(text, "results")
    results = json.loads((run / "metrics.json").read_text())
    ours = results["models"]["a2inet"]
    shown = " ".join(parsed.texts)
    for metric in ("srcc", "plcc", "krcc"):
        assert f"{ours['summary'][metric]['median']:.3f}" in shown
        assert "–".join(f"{bound:.3f}" for bound in ours["interval"][metric]) in shown
    assert "A2INet − SVR on mean-pooled features: +" in shown
    assert "a metric's opinion, not people's" in shown
    assert "ab" * 32 in shown
    both = [*examples.best, *examples.worst]
    for example in both:
        assert example.prediction.video in parsed.texts
        assert f"{example.prediction.mos:.1f}" in parsed.texts
    assert len(parsed.images) == 3 * len(both)
    assert all(image["alt"] for image in parsed.images)
    assert text.count("<svg") == 3 + len(both)
    assert text.count('role="img" aria-label="') == text.count("<svg")
    # A2INet has the least noise and is the best in all four columns.
    assert text.count('class="best"') == 4
    row = re.search(r'<tr class="ours">(.*?)</tr>', text, re.S)
    assert row
    assert row[1].count('<td class="best">') == 4


def test_same_run_gives_the_same_bytes(made: tuple[Path, Examples]) -> None:
    run, examples = made
    files = ["report.html", "results.csv", "results.json", "results.tex"]
    before = [(run / file).read_bytes() for file in files]
    write_page(run, examples)
    assert [(run / file).read_bytes() for file in files] == before
    assert list(run.glob("*.part")) == []


def test_a_run_is_compared_with_the_papers_rows_of_its_settings(run: Path, tmp_path: Path) -> None:
    rows = [(2, "A2INet FR(S+S)"), (6, "CGIN (S+S)")]
    text = write_page(run, Examples(), rows).read_text("utf-8")
    assert "which use the networks resnet18_fdim and efficientnet_lite0." in text
    assert "in the paper" not in text  # the paper does not have the sample data set
    assert (
        "Results of the paper on other data sets: compare the ranking, not the values (SRCC)."
        in text
    )
    parsed = read_page(text, "results")
    at = parsed.texts.index("Table 6: CGIN (S+S)")
    results = json.loads((run / "metrics.json").read_text())
    our_srcc = f"{results['models']['a2inet']['summary']['srcc']['median']:.3f}"
    # The data sets are in the order of the paper's Table 2, whose last is KoNViD-1k.
    assert next(text for text in parsed.texts[at + 1 :] if text) == our_srcc
    assert "0.8695" in parsed.texts[at + 1 : at + 12]
    results = json.loads((run / "metrics.json").read_text())
    results["data"]["name"] = "KoNViD-1k"
    (run / "metrics.json").write_text(json.dumps(results))
    write_page(run, Examples(), rows, tmp_path / "elsewhere")
    parsed = read_page((tmp_path / "elsewhere" / "report.html").read_text("utf-8"), "results")
    at = parsed.texts.index("Table 2: A2INet FR(S+S)")
    ours = [f"{results['models']['a2inet']['summary'][m]['median']:.3f}" for m in ("plcc", "srcc")]
    assert [text for text in parsed.texts[at + 1 :] if text][:4] == [
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
        write_page(run, Examples())
    assert not (run / "report.html").exists()


def test_an_unreadable_file_is_named(run: Path) -> None:
    results = json.loads((run / "metrics.json").read_text())
    (run / "config.json").write_text("{")
    with pytest.raises(RunError, match=r"config\.json is not JSON"):
        write_page(run, Examples())
    (run / "config.json").write_text("{}")
    (run / "a2inet" / "history.csv").write_text("split,epoch\n0,0\n")
    with pytest.raises(RunError, match=r"history\.csv needs .*train_loss"):
        write_page(run, Examples())
    del results["paired"]
    (run / "metrics.json").write_text(json.dumps(results))
    with pytest.raises(RunError, match=r"metrics\.json was written by an earlier version"):
        write_page(run, Examples())


def test_unusual_results_are_reported(run: Path) -> None:
    rows = predictions.read(run / "predictions.csv")
    rows = [row._replace(score=50.0) if row.split == 4 else row for row in rows]
    data = protocol.EvaluatedDataset("<mine>", 120, "MOS $x$")
    splits = split_files.read(run / "splits.json")
    save_results(run, {"a2inet": rows, "<b>&": rows}, data, "best_test", splits)
    (run / "a2inet" / "history.csv").write_text("split,epoch,train_loss,val_srcc\n0,0,0.5,\n")
    missing = Examples(reason_missing="<there> are no videos")
    text = write_page(run, missing).read_text("utf-8")
    parsed = Page(text)
    shown = " ".join(parsed.texts)
    assert "optimistic" in shown
    assert "4: constant scores" in shown
    assert shown.count("†") == 3  # PLCC and RMSE of split 4, and the note
    assert "A2INet: all scores or all labels are equal in 1 of 5 splits" in shown
    assert "A2INet: no logistic could be fitted in 1 of 5 splits" in shown
    assert "A2INet on the <mine> data set" in parsed.texts
    assert "Examples of predictions cannot be shown: <there> are no videos" in parsed.texts
    assert "<b>&" in parsed.texts
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
    svg = plots.scatter(x, x, ["a"] * x.size, fit_logistic(x, x), "MOS", "many")
    assert "data:image/png;base64" in svg
    assert len(svg) < 200_000
    few = plots.scatter(x[:100], x[:100], ["a"] * 100, fit_logistic(x[:3], x[:3]), "MOS", "few")
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
    return page.write(tmp_path_factory.mktemp("report"), runs), runs


def test_several_runs_have_one_page(several: tuple[Path, list[tuple[Run, Examples]]]) -> None:
    path, runs = several
    text = path.read_text("utf-8")
    parsed = read_page(text, "results")
    assert text.count("<svg") == 1 + 2 * (2 + 4)
    assert len(parsed.images) == 2 * 3 * 4
    at = parsed.texts.index("Differences in configuration")
    assert [text for text in parsed.texts[at + 1 :] if text][:9] == [
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
    assert page.write(path.parent, runs).read_bytes() == before


def test_runs_with_different_splits_are_reported(
    several: tuple[Path, list[tuple[Run, Examples]]], tmp_path: Path
) -> None:
    (one, _), (other, _) = several[1]
    assert make_table.of_runs([one, other]).notes == []
    other = replace(other, hashes={"splits.json": "another"}, splits=other.splits[:3])
    table = make_table.of_runs([one, other])
    assert "different splits" in table.notes[0]
    assert "demo; wide" in table.notes[0]
    same_name = make_table.of_runs([one, replace(one, path=tmp_path)])
    assert [row.name for row in same_name.rows] == [str(one.path), str(tmp_path)]


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
    table = make_table.of_runs([replace(one, cross_results=[cross_results]), other])
    assert [column.dataset for column in columns(table)] == [
        name for name in ("sample", "KoNViD-1k", "W.A.") for _ in range(2)
    ]
    assert columns(table)[2].ours[1] == "–"
    assert table.weighted_average.keys() == {"demo"}
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
    table = make_table.from_rows("Table 4: Features", rows, datasets, 4)
    path = page.write_table(tmp_path / "table4", table, runs[:1])
    parsed = read_page(path.read_text("utf-8"), "table")
    shown = " ".join(parsed.texts)
    assert "Results of the paper on other data sets" in shown
    assert "0.7764" in shown  # SQ on LIVE-Qualcomm
    assert "– MS on sample: no weights" in shown
    assert json.loads((tmp_path / "table4" / "table.json").read_text())["title"] == table.title


def test_differing_fields() -> None:
    configs: list[dict[str, Any]] = [
        {"name": "a", "x": {"y": 1, "z": [1, 2]}},
        {"name": "b", "x": {"y": 1}, "w": 0},
    ]
    assert page.differing_fields(configs) == {"x.z": ["1, 2", "–"], "w": ["–", "0"]}


def test_srcc_by_distortion_and_by_content(run: Path) -> None:
    loaded = run_files.read(run)
    assert loaded.videos == {}
    text = write_page(run, Examples()).read_text("utf-8")
    assert "SRCC by distortion and by content cannot be shown: " in text
    # Ten versions of each scene; every other video is blurred, and one is of its own kind.
    ids = sorted({row.video for row in loaded.predictions})
    kinds = dict(zip(ids, ["alone", *(("blur", "<noise>")[n % 2] for n in range(1, len(ids)))]))
    videos = {each: Video(each, Path(each), 1.0, each[:-1], distortion=kinds[each]) for each in ids}
    loaded = replace(loaded, videos=videos, reason_no_videos="")
    text = page.write(run, [(loaded, Examples())]).read_text("utf-8")
    parsed = read_page(text, "results")
    shown = parsed.texts[parsed.texts.index("SRCC by distortion and by content") :]
    for groups in (kinds, {each: each[:-1] for each in ids}):
        for group in predictions.srcc_by_group(loaded.predictions, groups):
            if group.videos < MIN_POINTS:
                assert group.name not in shown
                continue
            at = shown.index(group.name)
            assert group.srcc is not None
            assert [text for text in shown[at : at + 9] if text][:4] == [
                group.name, str(group.videos), str(group.predictions), f"{group.srcc:.3f}"
            ]  # fmt: skip
    assert "1 further group by distortion of fewer than 5 tested videos" in " ".join(text.split())
    # A data set without distortions has none by distortion.
    videos = {each: replace(video, distortion="") for each, video in videos.items()}
    text = page.write(run, [(replace(loaded, videos=videos), Examples())]).read_text("utf-8")
    assert "SRCC by content" in text


def test_points_are_coloured_by_content_if_these_are_few(run: Path) -> None:
    loaded = run_files.read(run)
    ids = {row.video for row in loaded.predictions}
    assert "one colour for each split" in page.write(run, [(loaded, Examples())]).read_text()
    few = {
        each: Video(each, Path(each), 1.0, f"scene {len(each) % 2 + int(each[-1]) % 3}")
        for each in ids
    }
    text = page.write(run, [(replace(loaded, videos=few), Examples())]).read_text()
    assert "one colour for each content" in text
    assert ">scene 1<" in text
    many = {each: Video(each, Path(each), 1.0, each) for each in ids}
    text = page.write(run, [(replace(loaded, videos=many), Examples())]).read_text()
    assert "one colour for each split" in text
    assert ">split 4<" in text


def test_scatter_has_equal_axes_with_the_identity() -> None:
    x = np.linspace(0, 1, 30)
    svg = plots.scatter(x, 3 * x, [""] * 30, fit_logistic(x, 3 * x), "MOS", "scatter")
    assert ">identity<" in svg
    ticks = [re.findall(rf'id="scatter-{axis}tick_\d+"', svg) for axis in "xy"]
    assert len(ticks[0]) == len(ticks[1])


def test_a_missing_preview_has_its_reason(made: tuple[Path, Examples], tmp_path: Path) -> None:
    run, examples = made
    text = (run / "report.html").read_text("utf-8")
    assert text.count("data:video/mp4;base64,") == 4
    assert text.count("encoded again and smaller") == 4
    assert "frame scores are what the model gives each frame" in " ".join(text.split()).lower()
    worst = [replace(each, preview=b"", reason_no_preview="<no> codec") for each in examples.worst]
    text = write_page(run, replace(examples, worst=worst), (), tmp_path).read_text("utf-8")
    assert text.count("data:video/mp4;base64,") == 2
    assert text.count("No preview: &lt;no&gt; codec") == 2


def test_machine_date_and_durations_are_shown(run: Path) -> None:
    path = run / "environment.json"
    environment = json.loads(path.read_text())
    parsed = read_page(write_page(run, Examples()).read_text("utf-8"), "results")
    assert "Processor" not in parsed.texts  # not recorded by an earlier version
    environment |= {
        "date": "2026-01-02T03:04:05+00:00",
        "device": "cpu",
        "devices": 2,
        "processor": "A <fast> one",
        "commit": "f" * 40,
        "seconds": {"training": 3723.4, "evaluation": 61.0},
        "packages": {"a2inet-jax": "0.9"},
    }
    path.write_text(json.dumps(environment))
    shown = read_page(write_page(run, Examples()).read_text("utf-8"), "results").texts
    for name, value in {
        "Begun": "2026-01-02T03:04:05+00:00",
        "Device": "2 × cpu",
        "Processor": "A <fast> one",
        "Training of all heads": "1 h 02 min",
        "Evaluation": "1 min 01 s",
        "Software": f"a2inet-jax 0.9, commit {'f' * 40}",
    }.items():
        assert shown[shown.index(name) + 1] == value


def test_the_rule_of_comparisons_is_told_once(
    several: tuple[Path, list[tuple[Run, Examples]]], tmp_path: Path
) -> None:
    runs = several[1]
    lines = [f"demo − wide on {n}: +0.001 SRCC, no interval: no difference shown" for n in range(3)]
    text = page.write(tmp_path, runs, lines).read_text("utf-8")
    assert text.count("excludes 0. p is of a t-test over the splits") == 1
    assert "excludes 0" in several[0].read_text(
        "utf-8"
    )  # the runs are compared with their baselines
