"""An experiment as its config says, step by step: prepare → extract → train → evaluate → report.

The one file of the package that reads configs; the rooms take plain values. A step reuses what is complete,
so a job that was killed goes on where it was when the same command is given again.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from a2inet_jax.backbones import weights
from a2inet_jax.backbones.table import BACKBONES, load_params
from a2inet_jax.console import console, progress
from a2inet_jax.datasets import index, splits
from a2inet_jax.datasets.splits import Split
from a2inet_jax.datasets.video import Video
from a2inet_jax.evaluation import baselines, cases, predictions, protocol
from a2inet_jax.evaluation import report as page
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.features.extract import Extractor, Pretrained, extract_all
from a2inet_jax.features.store import Store
from a2inet_jax.model import ensemble
from a2inet_jax.model.a2inet import A2INet
from a2inet_jax.model.vsfa import VSFA
from a2inet_jax.run_folder import RunFolder
from a2inet_jax.training.batches import Features
from a2inet_jax.training.loop import predict, train_split
from a2inet_jax.training.settings import Settings
from a2inet_jax.video.reader import Reader
from a2inet_jax.video.sampling import Sampling

Config = Mapping[str, Any]  # an ml_collections.ConfigDict, or the config.json of a run

CLIPS_SHOWN = 4  # best and worst clips in a report
THUMBNAILS = 4  # frames of each


def demo(config: Config) -> int:
    """Weights and all steps; ends at the first step that fails."""
    for key in ("quality", "semantic"):
        if not config["features"][f"{key}_weights"]:
            weights.get(config["features"][key])
    for step in (prepare, extract, train, evaluate, report):
        if code := step(config):
            return code
    return 0


def prepare(config: Config) -> int:
    """Make what is missing of the data set and its index."""
    with progress("prepare") as advance:
        index.prepare(config["data"]["name"], Path(config["data"]["folder"]), advance)
    return 0


def extract(config: Config) -> int:
    """Features of every video that has none yet; videos that fail are listed and give exit code 1."""
    videos = _videos(config)
    with open_extractor(config["features"]) as extractor, progress("extract") as advance:
        failures = extract_all(videos, extractor, _store(config, extractor), advance)
    for failure in failures:
        console.print(f"failed: {failure.path}: {failure.reason}", style="red", markup=False)
    if failures:
        console.print(f"{len(failures)} of {len(videos)} videos have no features", style="red")
    return 1 if failures else 0


def train(config: Config) -> int:
    """Train A2INet and its neural baselines on every split; keep their parameters and predictions."""
    videos = _videos(config)
    features, recipe = _features(config, videos)
    parts = splits.make_splits(
        videos,
        number=config["splits"]["number"],
        seed=config["seed"],
        test_fraction=config["splits"]["test"],
        validation_fraction=config["splits"]["validation"],
    )
    run = RunFolder(Path("runs") / config["name"])
    run.open(_plain(config), {"features": features.digest, "recipe": recipe})
    splits.save(parts, run.path / "splits.json")
    for name in ("a2inet", *(x for x in config["baselines"] if x != "svr")):
        _train_model(name, config, features, parts, run)
    return 0


def evaluate(config: Config) -> int:
    """Metrics of A2INet and of the baselines on the test parts: metrics.json, and a table on the screen."""
    run = RunFolder(Path("runs") / config["name"])
    videos = _videos(config)
    parts = splits.read(run.path / "splits.json")
    if "svr" in config["baselines"] and not (run.path / "svr" / "predictions.csv").is_file():
        _support_vectors(config, videos, parts, run)
    tables = {
        name: predictions.measure_splits(predictions.read(run.path / name / "predictions.csv"))
        for name in ("a2inet", *config["baselines"])
    }
    predictions.write(
        run.path / "predictions.csv", predictions.read(run.path / "a2inet" / "predictions.csv")
    )
    label, note = index.label(config["data"]["name"])
    data = protocol.Data(config["data"]["name"], len(videos), label, note)
    content = protocol.results(tables, data, config["train"]["epoch_rule"])
    protocol.write(run.path / "metrics.json", content)
    console.print(protocol.table(content))
    return 0


def report(config: Config) -> int:
    """Write report.html, with the best and the worst clips."""
    run = RunFolder(Path("runs") / config["name"])
    best, worst = cases.choose(predictions.read(run.path / "predictions.csv"), CLIPS_SHOWN)
    videos = {video.video_id: video for video in _videos(config)}
    models = ensemble.load(run.path / "model.safetensors")
    model = build_model("a2inet", config["model"])
    with open_extractor(config["features"]) as extractor, Reader() as reader:
        store = _store(config, extractor)
        shown = [
            [_case(row, videos[row.video], models, model, store, reader) for row in rows]
            for rows in (best, worst)
        ]
    path = page.write(run.path, *shown)
    console.print(f"Report: {path.resolve()}", soft_wrap=True, highlight=False)
    return 0


def open_extractor(fields: Config) -> Extractor:
    """The extractor that the `features` part of a config describes."""
    pair = []
    for key in ("quality", "semantic"):
        if fields[key] not in BACKBONES:
            raise ValueError(f"no backbone {fields[key]!r}: known are {', '.join(BACKBONES)}")
        backbone, path = BACKBONES[fields[key]], fields[f"{key}_weights"]
        pair.append(Pretrained(backbone, *load_params(backbone, Path(path) if path else None)))
    sampling = Sampling(
        frames=fields["frames"] or None,
        short_side=fields["short_side"] or None,
        patches=fields["patches"],
        patch_size=fields["patch_size"],
    )
    quality, semantic = pair
    return Extractor(
        quality, semantic, sampling, fields["dtype"], fields["chunk"], fields["timeout"]
    )


def build_model(name: str, fields: Config) -> nn.Module:
    """The network `a2inet`, `concat` or `vsfa` with the `model` part of a config."""
    temporal = {key: fields[key] for key in ("neck", "hidden", "tau", "beta")}
    dtype = jnp.dtype(fields["dtype"])
    if name == "vsfa":
        return VSFA(**temporal, dtype=dtype)
    if name not in ("a2inet", "concat"):
        raise ValueError(f"no model {name!r}: known are a2inet, concat and vsfa")
    return A2INet(
        **temporal,
        width=fields["width"],
        fusion="concat" if name == "concat" else "cagi",
        norm_axis=fields["norm_axis"],
        reduction=fields["reduction"],
        kernel=fields["kernel"],
        dtype=dtype,
    )


def _train_model(
    name: str, config: Config, features: Features, parts: Sequence[Split], run: RunFolder
) -> None:
    folder = run.path / name
    if (folder / "predictions.csv").is_file():  # written last
        return
    model = build_model(name, config["model"])
    settings = Settings(**_plain(config["train"]), seed=config["seed"])
    rows: list[Prediction] = []
    trained = []
    with progress(name) as advance:
        for number, part in enumerate(parts):

            def on_epoch(epoch: int, split: int = number) -> None:
                done = split * settings.epochs + epoch
                advance(f"split {split + 1}", done, len(parts) * settings.epochs)

            trained.append(train_split(model, features, part, settings, folder, number, on_epoch))
            test = features.rows(part.test)
            scored = predict(model, trained[-1], features, test)
            rows += [
                Prediction(number, features.ids[n], float(features.mos[n]), float(score))
                for n, score in zip(test, scored.score)
            ]
    if name == "a2inet":
        ranges = [each.label_range for each in trained]
        ensemble.save(run.path / "model.safetensors", [each.params for each in trained], ranges)
    predictions.write(folder / "predictions.csv", rows)


def _support_vectors(
    config: Config, videos: Sequence[Video], parts: Sequence[Split], run: RunFolder
) -> None:
    features, _ = _features(config, videos)
    pooled = baselines.pool(features.streams, features.mask)
    contents = [video.reference_id for video in videos]
    rows: list[Prediction] = []
    with progress("svr") as advance:
        for number, part in enumerate(parts):
            # It has no epochs to choose among, so it may learn from the validation part as well.
            known = features.rows((*part.train, *part.validation))
            scores = baselines.svr_scores(pooled, features.mos, contents, known, config["seed"])
            rows += [
                Prediction(number, features.ids[n], float(features.mos[n]), float(scores[n]))
                for n in features.rows(part.test)
            ]
            advance(f"split {number + 1}", number + 1, len(parts))
    (run.path / "svr").mkdir(exist_ok=True)
    predictions.write(run.path / "svr" / "predictions.csv", rows)


def _case(
    row: Prediction,
    video: Video,
    models: ensemble.Ensemble,
    model: nn.Module,
    store: Store,
    reader: Reader,
) -> cases.Clip:
    stored = store.read(row.video)
    _, frames_SxT = models.scores(model, (stored.quality, stored.semantic))
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
        frame_scores=frames_SxT[row.split],
        thumbnails=list(zip(stored.timestamps[where].tolist(), pictures)),
    )


def _videos(config: Config) -> list[Video]:
    return index.load(config["data"]["name"], Path(config["data"]["folder"]))


def _store(config: Config, extractor: Extractor) -> Store:
    name = config["data"]["name"]
    versions = f"{name}-{index.version(name)}-{extractor.recipe.fingerprint()}"
    return Store(Path(config["data"]["folder"]) / "features" / versions, extractor.recipe)


def _features(config: Config, videos: Sequence[Video]) -> tuple[Features, dict[str, Any]]:
    """The stored features of all videos, and the recipe they were made by."""
    with open_extractor(config["features"]) as extractor:
        store = _store(config, extractor)
    if missing := store.missing([video.video_id for video in videos]):
        raise FileNotFoundError(
            f"{store.folder} lacks the features of {len(missing)} of {len(videos)} videos, "
            f"{missing[0]} the first: run `a2inet extract`"
        )
    stored = [store.read(video.video_id) for video in videos]
    streams = [(each.quality, each.semantic) for each in stored]
    ids, labels = [video.video_id for video in videos], [video.mos for video in videos]
    return Features.pack(ids, streams, labels), extractor.recipe.as_dict()


def _plain(config: Config) -> dict[str, Any]:
    return config.to_dict() if hasattr(config, "to_dict") else dict(config)
