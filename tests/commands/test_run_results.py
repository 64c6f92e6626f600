"""The results of runs: on their own test parts, and on other data sets."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from a2inet_jax.datasets import splits
from a2inet_jax.errors import RunError
from a2inet_jax.evaluation import cross, predictions, protocol
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.pipeline import evaluate, run_results
from a2inet_jax.pipeline.run_results import measure
from a2inet_jax.run import RunFolder
from tests.experiments import changed
from tests.store_inputs import RECIPES, features
from tests.trained_runs import (
    IDS,
    MOS,
    VIDEOS,
    crossed,
    extract,
    make_run,
    relabel,
    working_folder,
)

RUN = RunFolder(Path("runs/one"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    working_folder(tmp_path, monkeypatch)
    return tmp_path


def test_on_another_data_set_every_model_scores_every_video() -> None:
    make_run()
    extract("theirs")
    results = measure(RUN, "./theirs/labels.csv")
    folder = crossed("one")
    rows = predictions.read(folder / "predictions.csv")
    assert len(rows) == 3 * VIDEOS
    assert [row.mos for row in rows[:VIDEOS]] == pytest.approx([0.05 * MOS[v] for v in IDS])
    assert results["data"]["videos"] == VIDEOS
    assert results["ranges"] == {"trained": [10.0, 79.0], "tested": pytest.approx([0.5, 3.95])}
    assert json.loads((folder / "metrics.json").read_text()) == json.loads(json.dumps(results))


def test_what_is_there_and_current_is_not_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    make_run()
    stores = extract("theirs")
    first = measure(RUN, "theirs")
    path = crossed("one") / "metrics.json"
    done: list[int] = []
    original = cross.score_all

    def counted(*given: Any) -> list[Prediction]:
        done.append(1)
        return original(*given)

    monkeypatch.setattr(cross, "score_all", counted)
    assert measure(RUN, "theirs") == json.loads(path.read_text())
    assert done == []
    for store in stores.values():
        store.write(IDS[0], features(99, 4, store.recipe.width), "")  # other features
    assert measure(RUN, "theirs") != first
    path.write_text("{")  # a file that is no JSON
    assert measure(RUN, "theirs")["inputs"] != first["inputs"]
    assert done == [1, 1]


def test_on_its_own_data_set_its_own_test_parts_are_used() -> None:
    config = make_run()
    results = measure(RUN, "mine/labels.csv")
    assert evaluate.evaluate(config) == 0
    assert json.loads(Path("runs/one/metrics.json").read_text()) == results
    assert not Path("runs/one/cross").exists()


def test_where_a_data_set_has_a_test_part_that_is_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    make_run()
    extract("theirs")
    original = run_results.labelled_videos

    def parted(config: Any) -> list[Any]:
        return [
            replace(video, subset="test" if n % 2 else "train")
            for n, video in enumerate(original(config))
        ]

    monkeypatch.setattr(run_results, "labelled_videos", parted)
    results = measure(RUN, "theirs")
    assert results["data"]["videos"] == VIDEOS // 2
    rows = predictions.read(crossed("one") / "predictions.csv")
    assert {row.video for row in rows} == set(IDS[1::2])


def test_missing_features_are_reported_with_the_command() -> None:
    make_run()
    with pytest.raises(FileNotFoundError) as raised:
        measure(RUN, "theirs")
    assert "24 of 24 videos, v00.mp4 the first" in str(raised.value)
    assert "`a2inet evaluate runs/one --datasets=theirs` extracts them" in str(raised.value)


def test_other_networks_are_refused() -> None:
    make_run()
    path = Path("runs/one/environment.json")
    path.write_text(path.read_text().replace('"good"', '"another"'))
    with pytest.raises(RunError, match=r"quality\.backbone: another there, good now"):
        measure(RUN, "theirs")


def test_only_the_streams_of_the_run_are_compared() -> None:
    make_run()
    path = Path("runs/one/environment.json")
    environment = json.loads(path.read_text())
    del environment["inputs"]["recipe"]["semantic"]
    path.write_text(json.dumps(environment))
    RUN.check_recipe({**RECIPES, "semantic": RECIPES["quality"]})
    with pytest.raises(RunError, match=r"quality\.backbone: good there, better now"):
        RUN.check_recipe({"quality": RECIPES["semantic"]})


def test_a_run_with_one_recipe_for_both_streams_is_refused() -> None:
    make_run()
    path = Path("runs/one/environment.json")
    environment = json.loads(path.read_text())
    environment["inputs"]["recipe"] = {"quality": "good", "quality_sha256": "11", "sampling": {}}
    path.write_text(json.dumps(environment))
    with pytest.raises(RunError, match="run of an earlier version: train it again"):
        RUN.check_recipe(RECIPES)


@pytest.mark.parametrize("change", [{"mos": 0.7}, {"content": "c5"}])
def test_results_of_other_labels_or_contents_are_made_again(
    home: Path, change: dict[str, Any]
) -> None:
    make_run()
    extract("theirs")
    first = measure(RUN, "theirs")
    relabel(home / "theirs", **change)
    again = measure(RUN, "theirs")
    assert again["models"] != first["models"]  # the interval, at least, is of the contents
    assert measure(RUN, "theirs") == again


def test_results_that_lacked_videos_are_made_again(home: Path) -> None:
    config = make_run()
    config = changed(config, "data.allow_missing=True")
    (RUN.path / "config.json").write_text(json.dumps(config.to_dict()))
    extract("theirs")
    listing = home / "theirs" / "labels.csv"
    before = listing.read_text()
    listing.write_text(before + "gone.mp4,1.0,c99\n")
    assert measure(RUN, "theirs")["data"]["note"] == "1 of the 25 labelled videos were missing."
    listing.write_text(before)
    assert measure(RUN, "theirs")["data"]["note"] == ""


def test_videos_of_the_data_set_trained_on_are_reported(home: Path) -> None:
    make_run()
    extract("theirs")
    found = measure(RUN, "theirs")
    assert found["known"] == 0
    assert not any("trained on," in remark for remark in protocol.remarks(found))
    for video in IDS[:5]:  # the same files by another way
        (home / "theirs" / video).unlink()
        (home / "theirs" / video).symlink_to(home / "mine" / video)
    found = measure(RUN, "theirs")
    assert found["known"] == 5
    printed = (
        "5 of 24 videos tested are of the data set trained on, so that the numbers are optimistic."
    )
    assert printed in protocol.remarks(found)
    (home / "mine" / "labels.csv").unlink()  # one's own data may be gone
    assert measure(RUN, "theirs")["known"] == 0


def test_splits_that_part_contents_are_reported() -> None:
    make_run()
    found = measure(RUN)
    assert not any("in two parts" in remark for remark in protocol.remarks(found))
    parts = splits.read(RUN.path / "splits.json")
    one, other = parts[0].test[0], parts[0].train[0]
    parts[0] = replace(
        parts[0],
        train=tuple(sorted({*parts[0].train, one} - {other})),
        test=tuple(sorted({*parts[0].test, other} - {one})),
    )
    splits.save(parts, RUN.path / "splits.json")
    path = RUN.path / "environment.json"
    environment = json.loads(path.read_text())
    environment["inputs"]["splits"] = splits.digest(parts)
    path.write_text(json.dumps(environment))
    for model in ("vsfa", "concat"):
        path = RUN.path / model / "predictions.csv"
        rows = [
            row._replace(video=other, mos=MOS[other]) if (row.split, row.video) == (0, one) else row
            for row in predictions.read(path)
        ]
        predictions.write(path, rows)
    printed = "2 of 12 contents have videos in two parts of a split, so that the numbers may be optimistic."
    assert printed in protocol.remarks(measure(RUN))


@pytest.mark.parametrize("dataset", ["mine", "theirs"])
def test_a_training_that_has_not_finished_is_reported(dataset: str) -> None:
    make_run()
    extract("theirs")
    (RUN.path / "concat" / "predictions.csv").unlink()
    with pytest.raises(FileNotFoundError) as raised:
        measure(RUN, dataset)
    assert "runs/one: `a2inet train` has not finished with concat" in str(raised.value)
