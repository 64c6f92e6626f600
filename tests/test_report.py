"""The report page, from a run folder as training and evaluation leave it."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from a2inet_jax.datasets import splits as split_files
from a2inet_jax.datasets.splits import Split
from a2inet_jax.evaluation import cases, plots, predictions, protocol, report
from a2inet_jax.evaluation.cases import Clip
from a2inet_jax.evaluation.metrics import fit_logistic
from a2inet_jax.evaluation.predictions import Prediction

NOISE = {"a2inet": 5.0, "concat": 6.5, "vsfa": 8.0, "svr": 10.0}
SPLITS, TESTED = 10, 24


def make_run(run: Path) -> tuple[list[Clip], list[Clip]]:
    """Fills a run folder with results such as real ones; returns the best and the worst clips."""
    rng = np.random.default_rng(3)
    ids = [f"clip_{i:03d}" for i in range(120)]
    mos = dict(zip(ids, np.clip(rng.normal(60, 24, len(ids)), 2, 99), strict=True))
    parts, rows = [], {name: [] for name in NOISE}  # type: ignore[var-annotated]
    for number in range(SPLITS):
        order = [ids[i] for i in rng.permutation(len(ids))]
        test, validation = sorted(order[:TESTED]), sorted(order[TESTED:44])
        parts.append(Split(tuple(sorted(order[44:])), tuple(validation), tuple(test)))
        for name, noise in NOISE.items():
            for video in test:
                score = 15 + 75 / (1 + np.exp(-(mos[video] - 55) / 15)) + rng.normal(0, noise)
                rows[name].append(Prediction(number, video, float(mos[video]), float(score)))

    (run / "a2inet").mkdir(parents=True)
    curve = ["split,epoch,train_loss,val_srcc,learning_rate"]
    for number in range(SPLITS):
        for epoch in range(30):
            loss = 0.12 + 0.5 * np.exp(-epoch / 6) + rng.normal(0, 0.01)
            val = 0.9 - 0.7 * np.exp(-epoch / 5) + rng.normal(0, 0.03)
            curve.append(f"{number},{epoch},{loss:.6f},{val:.6f},0.0001")
    (run / "a2inet" / "metrics.csv").write_text("\n".join(curve) + "\n")
    predictions.write(run / "predictions.csv", rows["a2inet"])
    split_files.save(parts, run / "splits.json")
    note = "The labels are VMAF against the pristine source: a metric's opinion, not people's."
    data = protocol.Data("sample", len(ids), "VMAF", note)
    measured = {name: predictions.measure_splits(found) for name, found in rows.items()}
    protocol.write(run / "metrics.json", protocol.results("a2inet", measured, data, "best_val"))
    config = {"name": "demo", "seed": 0, "data": {"name": "sample"}, "baselines": ["concat", "svr"]}
    (run / "config.json").write_text(json.dumps(config))
    environment = {"packages": {"jax": "0.10.2"}, "weights": {"resnet18_fdim": "ab" * 32}}
    (run / "environment.json").write_text(json.dumps(environment))

    best, worst = cases.choose(rows["a2inet"], 2)
    return [_clip(row, rng) for row in best], [_clip(row, rng) for row in worst]


def _clip(row: Prediction, rng: np.random.Generator) -> Clip:
    t = np.arange(16) / 8
    frames = []
    for k in range(3):
        y, x = np.mgrid[0:270, 0:480]
        picture = np.stack([x / 2, y, 128 + 90 * np.sin((x + y + 40 * k) / 50)], axis=-1)
        frames.append((float(t[6 * k]), np.clip(picture, 0, 255).astype(np.uint8)))
    scores = row.score + 4 * np.sin(3 * t) + rng.normal(0, 1, t.size)
    return Clip(row.video, Path("x.mp4"), row.split, row.mos, row.score, t, scores, frames)


class Page(HTMLParser):
    """Collects what a browser would open, and whether every element is closed."""

    VOID = frozenset({"meta", "img", "br", "hr", "link", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [found["id"] or ""] if "id" in found else []
        self.links += [found[k] or "" for k in ("src", "href", "xlink:href") if k in found]
        if tag == "img":
            self.images.append(found)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Clip], list[Clip]]:
    run = tmp_path_factory.mktemp("runs") / "demo"
    best, worst = make_run(run)
    report.write(run, best, worst)
    return run, best, worst


@pytest.fixture
def run(made: tuple[Path, list[Clip], list[Clip]], tmp_path: Path) -> Path:
    """A copy of the run, without its page, for a test to spoil."""
    return shutil.copytree(made[0], tmp_path / "demo", ignore=shutil.ignore_patterns("*.html"))


def test_page_is_well_formed_and_asks_nothing_of_the_network(
    made: tuple[Path, list[Clip], list[Clip]],
) -> None:
    text = (made[0] / "report.html").read_text("utf-8")
    page = Page(text)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    for link in page.links:
        assert link.startswith(("data:image/", "#"))
        assert not link.startswith("#") or link[1:] in page.ids
    assert set(re.findall(r"url\(#([^)]*)\)", text)) <= set(page.ids)
    assert "@import" not in text
    assert "<script" not in text
    assert len(text) < 3_000_000
    assert "$" not in text


def test_page_shows_the_run(made: tuple[Path, list[Clip], list[Clip]]) -> None:
    run, best, worst = made
    text = (run / "report.html").read_text("utf-8")
    page = Page(text)
    summary = json.loads((run / "metrics.json").read_text())["models"]["a2inet"]["summary"]
    shown = " ".join(page.texts)
    for metric in ("srcc", "plcc", "krcc"):
        assert f"{summary[metric]['median']:.3f}" in shown
    assert "a metric's opinion, not people's" in shown
    assert "ab" * 32 in shown
    for clip in (*best, *worst):
        assert clip.video_id in page.texts
        assert f"{clip.mos:.1f}" in page.texts
    assert len(page.images) == 3 * len([*best, *worst])
    assert all(image["alt"] for image in page.images)
    assert text.count("<svg") == 3 + len([*best, *worst])
    assert text.count('role="img" aria-label="') == text.count("<svg")
    # A2INet, which has the least noise, is the best in all four columns.
    assert text.count('class="best"') == 4
    assert re.search(
        r'<tr class="ours"><th scope="row">A2INet</th>(<td class="best">[^<]*</td>){4}', text
    )


def test_same_run_gives_the_same_bytes(made: tuple[Path, list[Clip], list[Clip]]) -> None:
    run, best, worst = made
    before = (run / "report.html").read_bytes()
    assert report.write(run, best, worst).read_bytes() == before
    assert list(run.glob("*.part")) == []


@pytest.mark.parametrize(
    "name",
    ["config.json", "environment.json", "splits.json", "metrics.json", "predictions.csv",
     "a2inet/metrics.csv"],
)  # fmt: skip
def test_missing_file_is_named(name: str, run: Path) -> None:
    (run / name).unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(name)):
        report.write(run, [], [])
    assert not (run / "report.html").exists()


def test_broken_file_is_named(run: Path) -> None:
    (run / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is not JSON"):
        report.write(run, [], [])
    (run / "config.json").write_text("{}")
    (run / "a2inet" / "metrics.csv").write_text("split,epoch\n0,0\n")
    with pytest.raises(ValueError, match=r"metrics\.csv needs .*train_loss"):
        report.write(run, [], [])


def test_odd_runs_are_told_not_hidden(run: Path) -> None:
    rows = predictions.read(run / "predictions.csv")
    rows = [row._replace(score=50.0) if row.split == 4 else row for row in rows]
    measured = {
        "a2inet": predictions.measure_splits(rows),
        "<b>&": predictions.measure_splits(rows),
    }
    data = protocol.Data("<mine>", 120, "MOS $x$")
    protocol.write(run / "metrics.json", protocol.results("a2inet", measured, data, "best_test"))
    (run / "a2inet" / "metrics.csv").write_text("split,epoch,train_loss,val_srcc\n0,0,0.5,\n")
    text = report.write(run, [], []).read_text("utf-8")
    page = Page(text)
    shown = " ".join(page.texts)
    assert "optimistic" in shown
    assert "4: constant scores" in shown
    assert shown.count("†") == 3  # PLCC and RMSE of split 4, and the note
    assert "A2INet: no order at all in 1 of 10 splits" in shown
    assert "A2INet: no logistic could be fitted in 1 of 10 splits" in shown
    assert "A2INet on the <mine> data set" in page.texts
    assert "<b>&" in page.texts
    assert "<mine>" not in text


def test_best_cases_span_the_labels_and_worst_are_the_largest_errors() -> None:
    rng = np.random.default_rng(0)
    rows = [
        Prediction(split, f"v{i:02d}", float(i), float(i + rng.normal(0, 3)))
        for split in range(3)
        for i in range(30)
    ]
    best, worst = cases.choose(rows, 3)
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
    best, worst = cases.choose([Prediction(0, "a", 1.0, 2.0), Prediction(0, "b", 1.0, 1.5)], 4)
    assert [row.video for row in worst] == ["a", "b"]
    assert best == []


def test_many_points_become_a_picture() -> None:
    x = np.linspace(0, 1, plots.MANY_POINTS + 1)
    drawn = plots.scatter(x, x, fit_logistic(x, x), "MOS")
    assert "data:image/png;base64" in drawn
    assert len(drawn) < 200_000
    few = plots.scatter(x[:100], x[:100], fit_logistic(x[:3], x[:3]), "MOS")
    assert "data:image" not in few
    assert "fitted logistic" not in few  # no curve where there is no fit


def test_curves_are_the_mean_over_splits() -> None:
    history = [
        {"split": s, "epoch": e, "train_loss": 1.0 / (e + 1) + s, "val_srcc": float("nan")}
        for s in range(2)
        for e in range(3)
    ]
    drawn = plots.learning_curves(history)
    assert "training loss" in drawn
    assert "validation" not in drawn
