"""Runs that seem trained, on data sets of one's own: features without networks, videos that are empty."""

import functools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

from a2inet_jax import build, config_file
from a2inet_jax.config import Experiment
from a2inet_jax.datasets import registry, splits
from a2inet_jax.datasets.splits import Split
from a2inet_jax.datasets.verify import fingerprint
from a2inet_jax.evaluation import predictions
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.features.store import Store, open_stores
from a2inet_jax.model import ensemble
from a2inet_jax.model.ensemble import Ensemble
from a2inet_jax.pipeline import evaluate, run_results
from a2inet_jax.run import RunFolder
from tests.store_inputs import RECIPES, features

VIDEOS = 24
IDS = [f"v{n:02}.mp4" for n in range(VIDEOS)]
MOS = {video: 10.0 + 3 * n for n, video in enumerate(IDS)}
CONTENT = {video: f"c{n // 2}" for n, video in enumerate(IDS)}


def working_folder(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Make a folder with the data sets `mine` and `theirs` the working one."""
    patch.chdir(folder)
    extractor = SimpleNamespace(recipes=RECIPES)
    patch.setattr(run_results, "open_extractor", lambda _: extractor)
    patch.setattr(evaluate, "extract", lambda _: 0)
    for name, factor in (("mine", 1.0), ("theirs", 0.05)):
        make_dataset(folder / name, factor)


def make_dataset(folder: Path, factor: float = 1.0) -> None:
    """A list of labels that are the factor times `MOS`, and empty files."""
    folder.mkdir()
    lines = [f"{video},{factor * MOS[video]},{CONTENT[video]}" for video in IDS]
    (folder / "labels.csv").write_text("\n".join(["path,mos,reference_id", *lines]) + "\n")
    for video in IDS:
        (folder / video).touch()


def relabel(folder: Path, mos: float | None = None, content: str = "c0") -> None:
    """Change the label of a data set's first video, or its content."""
    lines = (folder / "labels.csv").read_text().splitlines()
    path, before, _ = lines[1].split(",")
    lines[1] = f"{path},{before if mos is None else mos},{content}"
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def make_config(name: str = "one", dataset: str = "./mine") -> Experiment:
    fields = (
        f"name={name}",
        f"data.name={dataset}",
        "splits.num_splits=3",
        "baselines=('concat',)",
    )
    head = ("model.name=vsfa", "model.neck=4", "model.hidden=4")
    return config_file.load("sample", (*fields, *head))


def make_run(
    name: str = "one", noise: float = 15.0, shift: int = 0, dataset: str = "./mine"
) -> Experiment:
    """A trained run; its config."""
    config = make_config(name, dataset)
    videos = build.labelled_videos(config)
    mos = {video.video_id: video.mos for video in videos}
    run = RunFolder(Path("runs") / name)
    rng = np.random.default_rng(int(noise))
    parts = []
    for number in range(3):
        order = [IDS[(8 * number + n + shift) % VIDEOS] for n in range(VIDEOS)]
        parts.append(Split(tuple(order[8:]), (), tuple(order[:8])))
    labels = fingerprint(videos)
    recipe = {name: each.as_dict() for name, each in RECIPES.items()}
    run.open(config, {"recipe": recipe, "labels": labels, "splits": splits.digest(parts)})
    splits.save(parts, run.path / "splits.json")
    for model in ("vsfa", "concat"):
        rows = [
            Prediction(number, video, mos[video], mos[video] + rng.normal(0, noise))
            for number, part in enumerate(parts)
            for video in part.test
        ]
        (run.path / model).mkdir()
        predictions.write(run.path / model / "predictions.csv", rows)
        curve = "split,epoch,train_loss,val_srcc,learning_rate\n0,0,0.5,,0.0001\n"
        (run.path / model / "history.csv").write_text(curve)
    models = Ensemble.stack(parameters(), [(10.0, 79.0)] * 3)
    ensemble.save(run.path / "model.safetensors", models)
    return config


@functools.cache
def parameters() -> list[Any]:
    network = build.build_model("vsfa", make_config().model)
    streams = (np.zeros((1, 3, 6), np.float16), np.zeros((1, 3, 4), np.float16))
    init = jax.jit(network.init)
    return [init(jax.random.key(n), streams, np.ones((1, 3), bool))["params"] for n in range(3)]


def extract(dataset: str) -> dict[str, Store]:
    """Features of a data set, where the run looks for them."""
    stores = open_stores(build.features_folder(make_config(dataset=dataset)), RECIPES)
    for store in stores.values():
        for n, video in enumerate(IDS):
            store.write(video, features(n, 3 + n % 3, store.recipe.width), "")
    return stores


def crossed(run: str) -> Path:
    """The folder of a run's results on the other data set."""
    return Path("runs") / run / "cross" / f"theirs-{registry.version('./theirs')}"
