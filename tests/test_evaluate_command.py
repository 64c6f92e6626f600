"""`a2inet evaluate` on runs that are made here: data sets of one's own, features without networks."""

import functools
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from a2inet_jax import from_config
from a2inet_jax.commands import evaluate
from a2inet_jax.datasets import index, splits
from a2inet_jax.datasets.splits import Split
from a2inet_jax.datasets.verify import fingerprint
from a2inet_jax.evaluation import cross, predictions
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.features.store import Store
from a2inet_jax.model import ensemble
from a2inet_jax.run_folder import RunError, RunFolder
from configs import sample
from tests.store_inputs import RECIPE, features

VIDEOS = 24
IDS = [f"v{n:02}.mp4" for n in range(VIDEOS)]
MOS = {video: 10.0 + 3 * n for n, video in enumerate(IDS)}
CONTENT = {video: f"c{n // 2}" for n, video in enumerate(IDS)}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the data sets `mine` and `theirs`, whose videos are never opened."""
    monkeypatch.chdir(tmp_path)
    extractor = SimpleNamespace(recipe=RECIPE)
    monkeypatch.setattr(evaluate, "open_extractor", lambda _: extractor)
    monkeypatch.setattr(evaluate, "extract", lambda _: 0)
    for name, factor in (("mine", 1.0), ("theirs", 0.05)):
        (tmp_path / name).mkdir()
        lines = [f"{video},{factor * MOS[video]},{CONTENT[video]}" for video in IDS]
        text = "\n".join(["path,mos,reference_id", *lines])
        (tmp_path / name / "labels.csv").write_text(text + "\n")
        for video in IDS:
            (tmp_path / name / video).touch()
    return tmp_path


def make_config(name: str = "one") -> dict[str, Any]:
    config: ConfigDict = sample.get_config()
    config.name, config.data.name = name, "./mine"
    config.splits.number = 3
    config.model.update({"name": "vsfa", "neck": 4, "hidden": 4})
    config.baselines = ("concat",)
    plain: dict[str, Any] = json.loads(config.to_json())
    return plain


def make_run(name: str = "one", noise: float = 15.0, shift: int = 0) -> dict[str, Any]:
    """A trained run; its config."""
    config = make_config(name)
    run = RunFolder(Path("runs") / name)
    rng = np.random.default_rng(int(noise))
    parts = []
    for number in range(3):
        order = [IDS[(8 * number + n + shift) % VIDEOS] for n in range(VIDEOS)]
        parts.append(Split(tuple(order[8:]), (), tuple(order[:8])))
    labels = fingerprint(from_config.labelled_videos(config))
    recipe = json.loads(json.dumps(RECIPE.as_dict()))
    run.open(config, {"recipe": recipe, "labels": labels, "splits": splits.digest(parts)})
    splits.save(parts, run.path / "splits.json")
    for model in ("vsfa", "concat"):
        rows = [
            Prediction(number, video, MOS[video], MOS[video] + rng.normal(0, noise))
            for number, part in enumerate(parts)
            for video in part.test
        ]
        (run.path / model).mkdir()
        predictions.write(run.path / model / "predictions.csv", rows)
    ensemble.save(run.path / "model.safetensors", parameters(), [(10.0, 79.0)] * 3)
    return config


@functools.cache
def parameters() -> list[Any]:
    network = from_config.build_model("vsfa", make_config()["model"])
    streams = (np.zeros((1, 3, 6), np.float16), np.zeros((1, 3, 4), np.float16))
    init = jax.jit(network.init)
    return [init(jax.random.key(n), streams, np.ones((1, 3), bool))["params"] for n in range(3)]


def extract(dataset: str) -> Store:
    """Features of a data set, where the run looks for them."""
    config = make_config()
    config["data"]["name"] = dataset
    extractor: Any = SimpleNamespace(recipe=RECIPE)
    store = from_config.open_store(config, extractor)
    for n, video in enumerate(IDS):
        store.write(video, features(n, 3 + n % 3), "")
    return store


def crossed(run: str) -> Path:
    """Where a run's results on the other data set are."""
    return Path("runs") / run / "cross" / f"theirs-{index.version('./theirs')}"


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
    few = [row._replace(score=3.0) for row in predictions.read(path) if row.split or row.mos < 22]
    predictions.write(path, few)
    other = path.parent.parent / "concat" / "predictions.csv"
    tested = {(row.split, row.video) for row in few}
    rows = [row for row in predictions.read(other) if (row.split, row.video) in tested]
    predictions.write(other, rows)
    assert evaluate.evaluate(config) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "VSFA head: all scores or all labels are equal in 3 of 3 splits" in shown
    assert "in 3 of 3 splits (constant scores, fewer than 5 videos)" in shown


def test_another_config_is_refused() -> None:
    config = make_run()
    with pytest.raises(RunError, match=r"seed: 0 there, 1 now"):
        evaluate.evaluate(config | {"seed": 1})


def test_on_another_data_set_every_model_scores_every_video() -> None:
    make_run()
    extract("theirs")
    results = evaluate.cross_evaluate(Path("runs/one"), "./theirs/labels.csv")
    folder = crossed("one")
    rows = predictions.read(folder / "predictions.csv")
    assert len(rows) == 3 * VIDEOS
    assert [row.mos for row in rows[:VIDEOS]] == pytest.approx([0.05 * MOS[v] for v in IDS])
    assert results["data"]["videos"] == VIDEOS
    assert results["ranges"] == {"trained": [10.0, 79.0], "tested": pytest.approx([0.5, 3.95])}
    assert json.loads((folder / "metrics.json").read_text()) == json.loads(json.dumps(results))


def test_what_is_there_and_current_is_not_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    make_run()
    store = extract("theirs")
    first = evaluate.cross_evaluate(Path("runs/one"), "theirs")
    path = crossed("one") / "metrics.json"
    done: list[int] = []
    original = cross.predictions

    def counted(*given: Any) -> list[Prediction]:
        done.append(1)
        return original(*given)

    monkeypatch.setattr(cross, "predictions", counted)
    assert evaluate.cross_evaluate(Path("runs/one"), "theirs") == json.loads(path.read_text())
    assert done == []
    store.write(IDS[0], features(99, 4), "")  # other features
    assert evaluate.cross_evaluate(Path("runs/one"), "theirs") != first
    path.write_text("{")  # a file that is no JSON
    assert evaluate.cross_evaluate(Path("runs/one"), "theirs")["inputs"] != first["inputs"]
    assert done == [1, 1]


def test_on_its_own_data_set_its_own_test_parts_are_used() -> None:
    config = make_run()
    results = evaluate.cross_evaluate(Path("runs/one"), "mine/labels.csv")
    assert evaluate.evaluate(config) == 0
    assert json.loads(Path("runs/one/metrics.json").read_text()) == results
    assert not Path("runs/one/cross").exists()


def test_where_a_data_set_has_a_test_part_that_is_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    make_run()
    extract("theirs")
    original = evaluate.labelled_videos

    def parted(config: Any) -> list[Any]:
        return [
            replace(video, part="test" if n % 2 else "train")
            for n, video in enumerate(original(config))
        ]

    monkeypatch.setattr(evaluate, "labelled_videos", parted)
    results = evaluate.cross_evaluate(Path("runs/one"), "theirs")
    assert results["data"]["videos"] == VIDEOS // 2
    rows = predictions.read(crossed("one") / "predictions.csv")
    assert {row.video for row in rows} == set(IDS[1::2])


def test_missing_features_are_told_with_the_command() -> None:
    make_run()
    with pytest.raises(FileNotFoundError) as raised:
        evaluate.cross_evaluate(Path("runs/one"), "theirs")
    assert "24 of 24 videos, v00.mp4 the first" in str(raised.value)
    assert "`a2inet evaluate runs/one --datasets=theirs` extracts them" in str(raised.value)


def test_other_networks_are_refused() -> None:
    make_run()
    path = Path("runs/one/environment.json")
    path.write_text(path.read_text().replace('"good"', '"another"'))
    with pytest.raises(RunError, match="quality: another there, good now"):
        evaluate.cross_evaluate(Path("runs/one"), "theirs")


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
    config = make_run("two")
    config["data"]["name"] = "theirs"
    Path("runs/two/config.json").write_text(json.dumps(config))
    path = Path("runs/two/environment.json")
    environment = json.loads(path.read_text())
    environment["inputs"]["labels"] = fingerprint(from_config.labelled_videos(config))
    path.write_text(json.dumps(environment))
    for path in Path("runs/two").glob("*/predictions.csv"):
        rows = predictions.read(path)
        predictions.write(path, [row._replace(mos=0.05 * row.mos) for row in rows])
    assert evaluate.evaluate_runs([Path("runs/one"), Path("runs/two")], []) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "two is compared with none: it alone is on theirs." in shown


@pytest.mark.parametrize("column", ["mos", "reference_id"])
def test_results_of_other_labels_or_contents_are_refused(home: Path, column: str) -> None:
    config = make_run()
    lines = (home / "mine" / "labels.csv").read_text().splitlines()
    path, mos, content = lines[1].split(",")
    lines[1] = f"{path},{float(mos) + 1},{content}" if column == "mos" else f"{path},{mos},c5"
    (home / "mine" / "labels.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(RunError, match=r"inputs\.labels"):
        evaluate.evaluate(config)


def test_results_of_other_splits_are_refused() -> None:
    config = make_run()
    splits.save(splits.read(Path("runs/one/splits.json"))[::-1], Path("runs/one/splits.json"))
    with pytest.raises(RunError, match=r"inputs\.splits"):
        evaluate.evaluate(config)


def test_what_is_there_is_shown_and_what_is_not_is_told(
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
