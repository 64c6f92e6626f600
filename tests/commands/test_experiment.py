"""An experiment on videos of one's own with something wrong in them: what is said to do leads to results."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from a2inet_jax import build, config_file
from a2inet_jax.backbones.registry import Backbone
from a2inet_jax.build import features_folder
from a2inet_jax.commands.demo import demo
from a2inet_jax.config import Experiment
from a2inet_jax.errors import DataError
from a2inet_jax.features.store import Store, find_stores
from a2inet_jax.pipeline.evaluate import evaluate
from a2inet_jax.pipeline.extract import extract
from a2inet_jax.pipeline.prepare import prepare
from a2inet_jax.pipeline.train import train
from tests.experiments import changed
from tests.table_inputs import CLIPS, SMALL, clips, small_networks

BROKEN = "clip03.mkv"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_to_compile: None) -> Experiment:
    """An experiment on clips/labels.csv, one video of which is a text."""
    clips(tmp_path / "clips")
    (tmp_path / "clips" / BROKEN).write_text("This is not a video.\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("A2INET_HOME", str(tmp_path / "home"))
    small_networks(monkeypatch)
    networks = ("features.quality=resnet18_fdim", "features.semantic=efficientnet_lite0")
    fields = (*networks, "baselines=()", "splits.test_fraction=0.4", *SMALL)
    two_and_one = ("splits.num_splits=3", "splits.concurrent_members=2")
    return config_file.load("dataset:clips/labels.csv", (*fields, *two_and_one))


def test_moved_away_it_is_missing_and_the_others_go_on(
    config: Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare(config.data) == 0
    for allowed in (False, True):  # a video that is there is not missing
        config = changed(config, f"data.allow_missing={allowed}")
        assert extract(config) == 1
        printed = capsys.readouterr().out
        assert f"1 of {CLIPS} videos have no features; listed in " in printed
        assert len(list(features_folder(config).glob("*/failures.csv"))) == 2
        assert "`a2inet data prepare clips/labels.csv`" in printed
        assert "--config.data.allow_missing=True" in printed
        with pytest.raises(FileNotFoundError, match=f"1 of {CLIPS} videos, {BROKEN} the first"):
            train(config)
    assert not Path("runs").exists()

    Path("clips", BROKEN).rename(tmp_path / BROKEN)
    assert prepare(replace(config.data, allow_missing=False)) == 1
    assert "1 of them missing" in capsys.readouterr().out
    assert prepare(config.data) == extract(config) == train(config) == evaluate(config) == 0
    folders = find_stores(features_folder(config))
    assert len(folders) == 2
    assert not any((folder / "failures.csv").exists() for folder in folders)
    results = json.loads(Path("runs", config.name, "metrics.json").read_text())
    assert f"1 of the {CLIPS} labelled videos were missing." in results["data"]["note"]
    tested = json.loads(Path("runs", config.name, "splits.json").read_text())["splits"]
    assert len(tested) == 3
    assert all(BROKEN not in part for split in tested for part in split.values())


def test_what_can_t_be_split_is_refused_before_it_is_extracted(config: Experiment) -> None:
    names = [f"clip{n:02}.mkv,{n}\n" for n in range(6)]
    Path("clips/labels.csv").write_text("path,mos\n" + "".join(names))
    with pytest.raises(
        DataError, match=r"1 of 6 videos.* to test on.*raise --config\.splits\.test_fraction"
    ):
        demo(changed(config, "splits.test_fraction=0.2"))
    assert not Path("data").exists()
    assert not Path("runs").exists()


def test_mended_it_is_extracted(config: Experiment, capsys: pytest.CaptureFixture[str]) -> None:
    assert extract(config) == 1
    assert (
        "Repair or replace these files, and run the same command again." in capsys.readouterr().out
    )
    Path("clips", BROKEN).write_bytes(Path("clips", "clip02.mkv").read_bytes())
    assert extract(config) == train(config) == 0


def test_a_model_of_one_stream_needs_one_network(
    config: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(Path("clips", "clip02.mkv"), Path("clips", BROKEN))
    loaded: list[str] = []
    load = build.load_params

    def noted(backbone: Backbone, name: str) -> Any:
        loaded.append(backbone.name)
        return load(backbone, name)

    monkeypatch.setattr(build, "load_params", noted)
    one = changed(config, "model.name=vsfa", "model.streams=('semantic',)")
    assert build.needed_weights(one) == ["efficientnet_lite0"]
    assert extract(one) == train(one) == evaluate(one) == 0
    assert set(loaded) == {"efficientnet_lite0"}
    (folder,) = find_stores(features_folder(one))
    assert Store.existing(folder).recipe.backbone == "efficientnet_lite0"
    environment = json.loads(Path("runs", one.name, "environment.json").read_text())
    assert list(environment["inputs"]["recipe"]) == ["semantic"]
    # A model of both streams finds it there.
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    both = changed(config, "name=both")
    assert extract(both) == train(both) == 0
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert len(find_stores(features_folder(both))) == 2
