"""An experiment as its config says, step by step: prepare → extract → train → evaluate → report.

The one file of the package that reads configs; the rooms take plain values. A step reuses what is complete,
so a job that was killed goes on where it was when the same command is given again.
"""

import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from a2inet_jax.backbones import weights
from a2inet_jax.backbones.sources import SOURCES
from a2inet_jax.console import console, progress
from a2inet_jax.datasets import index, splits
from a2inet_jax.datasets.splits import Split
from a2inet_jax.datasets.video import Video
from a2inet_jax.evaluation import baselines, cases, predictions, protocol
from a2inet_jax.evaluation import report as page
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.extraction import extract
from a2inet_jax.features.store import Store
from a2inet_jax.from_config import (
    STREAMS,
    Config,
    backbone,
    build_model,
    labelled_videos,
    networks,
    open_extractor,
    open_store,
    plain,
    replicas,
    seeds,
)
from a2inet_jax.model import cost, ensemble
from a2inet_jax.package_files import cache_dir
from a2inet_jax.run_folder import RunFolder
from a2inet_jax.training import loop
from a2inet_jax.training.features import Features
from a2inet_jax.training.loop import Watch
from a2inet_jax.training.prediction import predict
from a2inet_jax.training.replica import Replica
from a2inet_jax.training.settings import Settings
from a2inet_jax.training.termination import TerminatedError
from a2inet_jax.video.reader import Reader

CLIPS_SHOWN = 4  # best and worst clips in a report
THUMBNAILS = 4  # frames of each


def demo(config: Config) -> int:
    """Weights and all steps; ends at the first step that fails."""
    for stream in STREAMS:
        name = config["features"][f"{stream}_weights"] or config["features"][stream]
        if name in SOURCES:  # and no file of the user's
            weights.get(name)
    for step in (prepare, extract, train, evaluate, report):
        if code := step(config):
            return code
    return 0


def prepare(config: Config) -> int:
    """Make what is missing of the data set and its index."""
    with progress("prepare") as advance:
        index.prepare(config["data"]["name"], Path(config["data"]["folder"]), advance)
    return 0


def train(config: Config) -> int:
    """Train the model and its neural baselines on every split; keep their parameters and predictions.

    After SIGTERM a checkpoint is written, and the exit code is 143, as shells have it.
    """
    if jax.process_count() > 1 and config["train"]["parallel"] != "mesh":
        raise ValueError("several processes train together by --config.train.parallel=mesh alone")
    jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "compiled"))
    videos = labelled_videos(config)
    features, recipe = _features(config, videos)
    parts = splits.make_splits(
        videos,
        number=config["splits"]["number"],
        seed=config["seed"],
        test_fraction=config["splits"]["test"],
        validation_fraction=config["splits"]["validation"],
    )
    # What can't be built is refused before a run begins that could not end.
    models = {name: build_model(name, config["model"]) for name in networks(config)}
    settings, trainings = Settings(**plain(config["train"])), replicas(config, parts)
    run = RunFolder(Path("runs") / config["name"])
    if jax.process_index() == 0:
        run.open(plain(config), {"features": features.digest, "recipe": recipe})
        splits.save(parts, run.path / "splits.json")
    try:
        for name, model in models.items():
            _train_model(name, model, config, settings, features, trainings, run)
    except TerminatedError as stopped:
        console.print(f"{stopped}: the same command goes on from here")
        return 128 + signal.SIGTERM
    return 0


def evaluate(config: Config) -> int:
    """Metrics of the model and the baselines on the test parts: metrics.json, and a table on the screen."""
    main = config["model"]["name"]
    run = RunFolder(Path("runs") / config["name"])
    run.check(plain(config))
    videos = labelled_videos(config)
    parts = splits.read(run.path / "splits.json")
    if "svr" in config["baselines"] and not (run.path / "svr" / "predictions.csv").is_file():
        _support_vectors(config, videos, parts, run)
    tables = {
        name: predictions.measure_splits(predictions.read(run.path / name / "predictions.csv"))
        for name in (main, *config["baselines"])
    }
    predictions.write(
        run.path / "predictions.csv", predictions.read(run.path / main / "predictions.csv")
    )
    label, note = index.label(config["data"]["name"])
    data = protocol.Data(config["data"]["name"], len(videos), label, note)
    rule, number = config["train"]["epoch_rule"], config["splits"]["seeds"]
    content = protocol.results(main, tables, data, rule, number)
    protocol.write(run.path / "metrics.json", content)
    console.print(protocol.table(content))
    return 0


def report(config: Config) -> int:
    """Write report.html, with the best and the worst clips."""
    run = RunFolder(Path("runs") / config["name"])
    run.check(plain(config))
    best, worst = cases.choose(predictions.read(run.path / "predictions.csv"), CLIPS_SHOWN)
    videos = {video.video_id: video for video in labelled_videos(config)}
    models = ensemble.load(run.path / "model.safetensors")
    model = build_model(config["model"]["name"], config["model"])
    store = open_store(config, open_extractor(config["features"]))
    with Reader() as reader:
        shown = [
            [_case(row, videos[row.video], config, models, model, store, reader) for row in rows]
            for rows in (best, worst)
        ]
    path = page.write(run.path, *shown)
    console.print(f"Report: {path.resolve()}", soft_wrap=True, highlight=False)
    return 0


def describe(config: Config, frames: int = 240, as_json: bool = False) -> int:
    """Parameters and FLOPs of the model and of its neural baselines, for one video of so many frames."""
    widths = [backbone(config["features"][stream]).width for stream in config["model"]["streams"]]
    costs = {
        name: cost.measure(build_model(name, config["model"]), widths, frames)
        for name in networks(config)
    }
    if as_json:
        models = {name: each.as_dict() for name, each in costs.items()}
        print(json.dumps({"config": config["name"], "frames": frames, "models": models}))
    else:
        for name, each in costs.items():
            console.print(cost.table(name, each))
    return 0


def _train_model(
    name: str,
    model: nn.Module,
    config: Config,
    settings: Settings,
    features: Features,
    trainings: Sequence[Replica],
    run: RunFolder,
) -> None:
    folder = run.path / name
    if (folder / "predictions.csv").is_file():  # written last
        return
    at_once = config["splits"]["at_once"] or len(trainings)
    rows: list[Prediction] = []
    trained = []
    for first in range(0, len(trainings), at_once):
        group = trainings[first : first + at_once]
        with progress(name) as advance:
            found = loop.train(model, features, group, settings, folder, Watch(advance, _say))
        trained += found
        scores = predict(model, features, group, found, settings)
        for replica, score_n in zip(group, scores, strict=True):
            rows += _rows(replica, features, score_n)
    if jax.process_index():
        return  # the first process writes
    if name == config["model"]["name"]:
        ranges = [each.label_range for each in trained]
        ensemble.save(run.path / "model.safetensors", [each.params for each in trained], ranges)
    predictions.write(folder / "predictions.csv", rows)


def _rows(replica: Replica, features: Features, score_n: np.ndarray) -> list[Prediction]:
    """Of the videos of the replica's test part, and their scores."""
    return [
        Prediction(
            replica.number, features.ids[n], float(features.mos[n]), float(score), replica.seed
        )
        for n, score in zip(features.rows(replica.split.test), score_n, strict=True)
    ]


def _say(line: str) -> None:
    console.print(line, highlight=False, markup=False)


def _support_vectors(
    config: Config, videos: Sequence[Video], parts: Sequence[Split], run: RunFolder
) -> None:
    features, recipe = _features(config, videos)
    run.check(plain(config), {"features": features.digest, "recipe": recipe})
    pooled = baselines.pool(features.read(n) for n in range(len(videos)))
    contents = [video.reference_id for video in videos]
    rows: list[Prediction] = []
    trainings = replicas(config, parts)
    with progress("svr") as advance:
        for done, replica in enumerate(trainings):
            advance(f"split {replica.number}", done, len(trainings))
            # It has no epochs to choose among, so it may learn from the validation part as well.
            known = features.rows((*replica.split.train, *replica.split.validation))
            scores = baselines.svr_scores(pooled, features.mos, contents, known, replica.seed)
            rows += _rows(replica, features, scores[features.rows(replica.split.test)])
        advance("", len(trainings), len(trainings))
    (run.path / "svr").mkdir(exist_ok=True)
    predictions.write(run.path / "svr" / "predictions.csv", rows)


def _case(
    row: Prediction,
    video: Video,
    config: Config,
    models: ensemble.Ensemble,
    model: nn.Module,
    store: Store,
    reader: Reader,
) -> cases.Clip:
    stored = store.read(row.video)
    streams = store.streams(row.video, config["model"]["streams"])
    _, frames_SxT = models.scores(model, streams)
    number = row.split * len(seeds(config)) + seeds(config).index(row.seed)
    where = np.linspace(0, len(stored.timestamps) - 1, THUMBNAILS).round().astype(int)
    where = np.unique(where)
    pictures = np.concatenate(list(reader.read(video.path, stored.frame_index[where])))
    return cases.Clip(
        video_id=row.video,
        path=video.path,
        split=row.split,
        mos=row.mos,
        score=row.score,
        timestamps=stored.timestamps,
        frame_scores=frames_SxT[number],
        thumbnails=list(zip(stored.timestamps[where].tolist(), pictures)),
    )


def _features(config: Config, videos: Sequence[Video]) -> tuple[Features, dict[str, Any]]:
    """The stored features of all videos, and the recipe they were made by."""
    extractor = open_extractor(config["features"])
    store = open_store(config, extractor)
    if missing := store.missing([video.video_id for video in videos]):
        raise FileNotFoundError(
            f"{store.folder} lacks the features of {len(missing)} of {len(videos)} videos, "
            f"{missing[0]} the first: run `a2inet extract`"
        )
    ids, labels = [video.video_id for video in videos], [video.mos for video in videos]
    features = Features.of_store(store, ids, labels, config["model"]["streams"])
    return features, extractor.recipe.as_dict()
