"""The whole demo on real clips and real networks, small: from nothing to a report, and on to scores."""

import csv
import functools
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

import a2inet_jax
from a2inet_jax import analysis, config_file
from a2inet_jax.commands.demo import demo
from a2inet_jax.commands.score import score_all
from a2inet_jax.config import Experiment
from a2inet_jax.datasets import lists, splits
from a2inet_jax.datasets.sample import prepare, recipe, sources
from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.errors import ConfigError, RunError
from a2inet_jax.main import main
from a2inet_jax.pipeline.evaluate import evaluate
from a2inet_jax.pipeline.report import report
from a2inet_jax.pipeline.train import train
from tests.experiments import changed

pytestmark = pytest.mark.network
SMALL = (
    "splits.num_splits=2",
    "splits.num_seeds=2",
    "splits.concurrent_members=2",
    "features.num_frames=3",
    "model.width=16",
    "train.epochs=3",
    "train.checkpoint_epochs=2",
)
# All clips have one shape, so that each network is compiled once.
FRAMES, HEIGHT, WIDTH = 24, 150, 200
CONTENTS = ("astronaut", "brick", "gravel", "moon", "bikes_cyclist", "bikes_fence", "bikes_wall")


@pytest.fixture(scope="module")
def config() -> Experiment:
    return config_file.load("sample", SMALL)


def small(source: sources.Source) -> sources.Source:
    """The same views in few pixels, and the first frames."""
    if isinstance(source, sources.Shot):
        return replace(source, height=HEIGHT, width=WIDTH, stop=source.start + FRAMES)
    start, stop = (
        (x, y, scale * source.height / HEIGHT) for x, y, scale in (source.start, source.stop)
    )
    return replace(source, height=HEIGHT, width=WIDTH, start=start, stop=stop, frames=FRAMES)


@pytest.fixture(scope="module")
def home(
    tmp_path_factory: pytest.TempPathFactory, config: Experiment, quick_to_compile: None
) -> Iterator[Path]:
    """A working folder in which the demo has run."""
    folder = tmp_path_factory.mktemp("demo")
    chosen = tuple(small(source) for source in sources.SOURCES if source.name in CONTENTS)
    few = functools.partial(recipe.SampleRecipe, sources=chosen, number=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(recipe, "SampleRecipe", few)
        patch.setattr(prepare, "SampleRecipe", few)
        assert demo(config) == 0
        yield folder


def test_the_run_folder_holds_everything(home: Path) -> None:
    run = home / "runs" / "demo"
    metrics = json.loads((run / "metrics.json").read_text())
    assert set(metrics["models"]) == {"a2inet", "concat", "vsfa", "svr"}
    trained = {name: len(model["splits"]) for name, model in metrics["models"].items()}
    assert trained == dict.fromkeys(("a2inet", "concat", "vsfa", "svr"), 4)
    rows = list(csv.DictReader((run / "predictions.csv").read_text().splitlines()))
    tested = [part["test"] for part in json.loads((run / "splits.json").read_text())["splits"]]
    twice = [video for part in tested for video in sorted(part) for _ in range(2)]
    assert [row["video"] for row in rows] == twice
    assert {row["seed"] for row in rows} == {"0", "1"}
    page = (run / "report.html").read_text()
    assert "VMAF" in page
    assert "http-equiv" in page
    assert page.count("data:video/mp4;base64,") == page.count('<article class="card example">') > 0
    assert "SRCC by distortion and by content" in page
    assert "Training of all heads" in page
    assert (run / "a2inet" / "history.csv").is_file()
    assert any((run / "a2inet").rglob("events.out.tfevents*"))


def test_it_goes_on_where_it_was_and_ends_the_same(home: Path, config: Experiment) -> None:
    run = home / "runs" / "demo"
    names = ("metrics.json", "predictions.csv", "model.safetensors")
    before = {name: (run / name).read_bytes() for name in names}
    page = without_durations(run / "report.html")
    features = next((home / "data" / "features").rglob("*.safetensors"))
    features.unlink()
    shutil.rmtree(run / "a2inet" / "checkpoints" / "splits_01-01_seeds_0-1")
    for name in (*names, "report.html", "a2inet/predictions.csv"):
        (run / name).unlink()
    assert demo(config) == 0
    assert features.is_file()
    assert {name: (run / name).read_bytes() for name in names} == before
    assert without_durations(run / "report.html") == page


def without_durations(page: Path) -> str:
    """Return a page without the rows that tell how long training and evaluation took."""
    names = r"Training of all heads|Evaluation|seconds\.[a-z]+"
    text, number = re.subn(
        rf'<tr><th scope="row">({names})</th><td>[^<]*</td></tr>', "", page.read_text()
    )
    assert number == 4
    return text


@pytest.mark.parametrize("step", [train, evaluate, report])
def test_every_step_refuses_another_config(home: Path, config: Experiment, step: Callable) -> None:
    before = (home / "runs" / "demo" / "metrics.json").read_bytes()
    other = changed(config, "train.epoch_rule=best_test")
    with pytest.raises(RunError, match=r"train\.epoch_rule: last there, best_test now"):
        step(other)
    assert (home / "runs" / "demo" / "metrics.json").read_bytes() == before


def test_what_cannot_be_built_is_refused_before_a_run_begins(
    home: Path, config: Experiment
) -> None:
    other = changed(config, "name=other", "baselines=()", "model.streams=('quality',)")
    with pytest.raises(ConfigError, match=r"a2inet takes \('quality', 'semantic'\)"):
        train(other)
    with pytest.raises(ConfigError, match="some of a2inet, concat, vsfa, svr"):
        changed(config, "name=other", "baselines=('vfsa',)")
    assert not (home / "runs" / "other").exists()


def test_the_same_video_gets_the_same_score(home: Path, tmp_path: Path) -> None:
    clip = next(home.rglob("astronaut__pristine.mp4"))
    copy = tmp_path / "renamed.mp4"
    shutil.copy(clip, copy)
    with a2inet_jax.load(home / "runs" / "demo") as scorer:
        first, again = scorer.score(clip), scorer.score(copy)
    with a2inet_jax.load(home / "runs" / "demo") as scorer:
        later = scorer.score(str(clip))
    assert first.score == again.score == later.score
    assert first.score == pytest.approx(first.split_scores.mean())
    assert first.calibrated_to == "VMAF of the sample data set"
    assert first.scale[0] < first.scale[1]
    assert len(first.frame_scores) == len(first.timestamps) == 3
    assert 0 <= first.timestamps[0] < first.timestamps[1] < first.timestamps[2] < 2


def test_a_copy_of_a_training_video_is_called_one(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = home / "runs" / "demo"
    drawn = splits.read(run / "splits.json")
    clip = next(home.rglob("astronaut__pristine.mp4"))
    # Two seeds a split.
    known = 2 * sum("astronaut__pristine" in (*each.train, *each.validation) for each in drawn)
    assert known > 0
    copy, other = tmp_path / "copy.mp4", tmp_path / "other.mp4"
    shutil.copy(clip, copy)
    # Other bytes, the same pictures.
    other.write_bytes(clip.read_bytes() + b"\0\0\0\x08free")
    table = tmp_path / "scores.csv"
    assert score_all([VideoFile(p.name, p) for p in (copy, other)], run, False, table) == 0
    warning = f"{known} of {2 * len(drawn)} models were trained on this very video"
    first, second = csv.DictReader(table.read_text().splitlines())
    assert warning in first["warning"]
    assert second["warning"] == ""
    printed = capsys.readouterr().out
    assert printed.count("trained on this very video") == 1
    assert f"copy.mp4   ({warning}" in printed


def test_a_score_far_outside_the_labels_is_flagged(home: Path) -> None:
    clip = next(home.rglob("astronaut__pristine.mp4"))
    with a2inet_jax.load(home / "runs" / "demo") as scorer:
        scored = replace(scorer.score(clip), trained_on_it=0, scale=(0.7, 99.9))
    for value in (-5.0, 105.0):
        [warning] = replace(scored, score=value).warnings
        assert "far outside 0.7 to 99.9, the labels' range" in warning
        assert warning in replace(scored, score=value).as_json()["warnings"]
    for value in (-4.0, 0.0, 50.0, 104.0):
        assert replace(scored, score=value).warnings == []


def test_one_bad_file_does_not_stop_the_others(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = next(home.rglob("brick__pristine.mp4"))
    bad = tmp_path / "bad.mp4"
    bad.write_text("not a video")
    listing = tmp_path / "list.csv"
    too_long = "x" * 300 + ".mp4"
    listing.write_text(f"path\nbad.mp4\nmissing.mp4\n{too_long}\n")
    table = tmp_path / "scores.csv"
    videos = lists.find_videos([listing, good])
    run = home / "runs" / "demo"
    assert score_all(videos, run, as_json=True, csv_path=table) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert ["error" in line for line in lines] == [True, True, True, False]
    assert all("no such file" in line["error"] for line in lines[1:3])
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [bool(row["score"]) for row in rows] == [False, False, False, True]
    assert float(rows[3]["score"]) == pytest.approx(lines[3]["score"], abs=1e-4)
    assert score_all(videos[3:], run, as_json=False, csv_path=None) == 0
    assert f"{good}" in capsys.readouterr().out


def test_maps_of_both_streams(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = home / "runs" / "demo"
    clips = [next(home.rglob(f"{name}__pristine.mp4")) for name in ("brick", "moon")]
    with analysis.Analyst(run) as look:
        brick, moon = (look.analyze(clip) for clip in clips)
        assert look.label == "VMAF"
    assert len(brick.entropies) == len(brick.scores) == len(brick.frames) == 3
    height, width = brick.frames.shape[1:3]
    assert brick.quality_maps.shape == (3, -(-height // 16), -(-width // 16))
    assert brick.semantic_maps.shape == brick.quality_maps.shape
    # A wall of bricks holds more than a disc before a black sky, and the blurred moon looks worse.
    assert brick.entropies.min() > moon.entropies.max()
    bad = tmp_path / "bad.mp4"
    bad.write_text("not a video")
    picture = tmp_path / "new" / "maps.png"
    files = [str(path) for path in (*clips, bad)]
    assert main(["analyze", *files, f"--run={run}", f"--out={picture}"]) == 1
    assert "failed" in capsys.readouterr().out
    with Image.open(picture) as opened:
        assert opened.format == "PNG"
        assert opened.width == 1200
    assert main(["analyze", str(bad), f"--run={run}", f"--out={tmp_path / 'none.png'}"]) == 1
    assert not (tmp_path / "none.png").exists()


@pytest.mark.slow
def test_motion_for_the_semantic_stream(home: Path, config: Experiment) -> None:
    # Few and small frames: 3-D convolutions cost.
    frames = ("features.num_frames=5", "features.short_side_px=96")
    motion = config_file.load("sample_motion", (*SMALL, *frames, "baselines=()"))
    assert demo(motion) == 0
    run = home / "runs" / motion.name
    metrics = json.loads((run / "metrics.json").read_text())
    assert set(metrics["models"]) == {"a2inet"}
    clip = next(home.rglob("brick__pristine.mp4"))
    with a2inet_jax.load(run) as scorer:
        assert len(scorer.score(clip).frame_scores) == 5


def test_a_run_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"features": {"quality": "resnet18_fdim"}}')
    with pytest.raises(RunError, match="earlier version"):
        analysis.Analyst(tmp_path)


def test_no_run_no_scores(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no run"):
        a2inet_jax.load(tmp_path)
