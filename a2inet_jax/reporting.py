"""`a2inet report`: a run as a page."""

from pathlib import Path

import flax.linen as nn
import numpy as np

from a2inet_jax.console import console
from a2inet_jax.datasets.video import Video
from a2inet_jax.evaluation import cases, predictions
from a2inet_jax.evaluation import report as page
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.features.store import Store
from a2inet_jax.from_config import (
    Config,
    build_model,
    labelled_videos,
    open_extractor,
    open_store,
    plain,
    seeds,
)
from a2inet_jax.model import ensemble
from a2inet_jax.run_folder import RunFolder
from a2inet_jax.video.reader import Reader

CLIPS_SHOWN = 4  # best and worst clips in a report
THUMBNAILS = 4  # frames of each


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
