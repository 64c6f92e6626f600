"""`a2inet evaluate`: metrics of a run's model and its baselines, and of runs on the data sets of others."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from a2inet_jax.commands.extract import extract
from a2inet_jax.console import console, progress, say
from a2inet_jax.datasets import index, splits
from a2inet_jax.datasets.splits import Split
from a2inet_jax.datasets.verify import fingerprint
from a2inet_jax.datasets.video import Video
from a2inet_jax.evaluation import baselines, cross, paired, predictions, protocol
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.from_config import (
    Config,
    build_model,
    labelled_videos,
    on,
    open_extractor,
    plain,
    replicas,
    stored_features,
)
from a2inet_jax.model import ensemble
from a2inet_jax.package_files import sha256
from a2inet_jax.report import console_table
from a2inet_jax.run_folder import RunFolder
from a2inet_jax.training.settings import Settings


def evaluate(config: Config) -> int:
    """Metrics of the model and the baselines on the test parts: metrics.json, and a table on the screen."""
    console.print(console_table.of_run(measure(config)))
    return 0


def measure(config: Config) -> dict[str, Any]:
    """What `evaluate` writes and prints."""
    run = RunFolder(Path("runs") / config["name"])
    run.check(plain(config))
    return _measure(run, config)


def evaluate_runs(runs: Sequence[Path], datasets: Sequence[str]) -> int:
    """Runs beside each other on the screen; features that a data set lacks for a run are extracted first.

    Args:
        runs: their folders.
        datasets: names of the data sets that each is tested on; each on its own if there are none.
    """
    folders = [RunFolder(path) for path in dict.fromkeys(runs)]
    configs = {run: run.config() for run in folders}
    cells = [
        (run, dataset) for run in folders for dataset in datasets or [configs[run]["data"]["name"]]
    ]
    code = 0
    for run, dataset in cells:
        if not _same(dataset, configs[run]["data"]["name"]):
            code |= extract(on(configs[run], dataset))
    rows: dict[str, dict[str, dict[str, Any]]] = {str(run.path): {} for run in folders}
    with progress("evaluate") as advance:
        for done, (run, dataset) in enumerate(cells):
            advance(f"{run.path} on {dataset}", done, len(cells))
            try:
                rows[str(run.path)][dataset] = cross_evaluate(run.path, dataset)
            except FileNotFoundError as error:  # what is there is shown
                code = 1
                say(f"{run.path} on {dataset}: {error}", "red")
        advance("", len(cells), len(cells))
    rows = {run: contents for run, contents in rows.items() if contents}
    if not rows:
        return 1
    here = {run: config for run, config in configs.items() if str(run.path) in rows}
    averages = {
        run: {metric: _average(contents, metric) for metric in console_table.MATRIX}
        for run, contents in rows.items()
        if len(contents) > 1
    }
    console.print(console_table.of_runs(rows, averages, _comparisons(here)))
    return code


def cross_evaluate(run: Path, dataset: str) -> dict[str, Any]:
    """A run's results on a data set, in the form of metrics.json.

    On its own data set they are those of its test parts. On another, every split's model scores all
    videos, or those of the test part where the data set has one of its own; `cross/<data set>` in the
    run's folder keeps that, and nothing is done again while models, features and labels are the same.

    Raises:
        FileNotFoundError: the run is not trained, or the data set is not prepared or lacks features.
        RunError: the networks here are not those that the run was trained with.
    """
    folder = RunFolder(run)
    config = folder.config()
    if _same(dataset, config["data"]["name"]):
        return _measure(folder, config)
    models = ensemble.load(run / "model.safetensors")
    target = on(config, dataset)
    videos = labelled_videos(target)
    missing = _missing(target, videos)
    videos = [video for video in videos if video.part == "test"] or videos
    extractor = open_extractor(config["features"])
    folder.check_recipe(extractor.recipe.as_dict())
    remedy = (
        f"`a2inet evaluate {run} --datasets={dataset}` extracts them, and lists those that fail"
    )
    features = stored_features(target, videos, extractor, remedy)
    about = index.about(dataset)
    inputs = {"model": sha256(run / "model.safetensors"), "features": features.digest}
    # Two data sets of one's own may have one name.
    version = "" if dataset in index.NAMES else f"-{index.version(dataset)}"
    path = run / "cross" / f"{index.slug(dataset)}{version}" / "metrics.json"
    if (kept := _kept(path)) and kept.get("inputs") == inputs:
        return kept
    trainings = replicas(config, splits.read(run / "splits.json"))
    name = config["model"]["name"]
    rows = cross.cross_predictions(
        models,
        build_model(name, config["model"]),
        features,
        trainings,
        Settings(**config["train"]),
    )
    content = cross.cross_results(
        name,
        rows,
        protocol.Data(about.title, len(videos), about.label, f"{about.note} {missing}".strip()),
        config["train"]["epoch_rule"],
        {video.video_id: video.reference_id for video in videos},
        config["splits"]["seeds"],
        index.about(config["data"]["name"]).title,
        models.label_ranges,
    )
    content["inputs"] = inputs
    path.parent.mkdir(parents=True, exist_ok=True)
    predictions.write(path.with_name("predictions.csv"), rows)
    protocol.write(path, content)
    return content


def _measure(run: RunFolder, config: Config) -> dict[str, Any]:
    main, rule = config["model"]["name"], config["train"]["epoch_rule"]
    videos = labelled_videos(config)
    parts = splits.read(run.path / "splits.json")
    run.check(plain(config), {"labels": fingerprint(videos), "splits": splits.digest(parts)})
    if "svr" in config["baselines"] and not (run.path / "svr" / "predictions.csv").is_file():
        _support_vectors(config, videos, parts, run)
    tested = {
        name: predictions.read(run.path / name / "predictions.csv")
        for name in (main, *config["baselines"])
    }
    predictions.write(run.path / "predictions.csv", tested[main])
    about = index.about(config["data"]["name"])
    note = f"{about.note} {_missing(config, videos)}".strip()
    # Of a data set that parts itself, its test part is what counts, here as on other runs.
    own = config["splits"]["kind"] == "own"
    number = len(parts[0].test) if own else len(videos)
    data = protocol.Data(about.title, number, about.label, note)
    contents = {video.video_id: video.reference_id for video in videos}
    content = protocol.results(main, tested, data, rule, contents, parts, config["splits"]["seeds"])
    protocol.write(run.path / "metrics.json", content)
    return content


def _missing(config: Config, videos: Sequence[Video]) -> str:
    """What a reader must know of videos that are not there; empty if all are."""
    data = config["data"]
    if not data["allow_missing"]:
        return ""
    number = len(index.labelled(data["name"], Path(data["folder"])))
    left_out = number - len(videos)
    return f"{left_out} of the {number} labelled videos were missing." if left_out else ""


def _same(one: str, other: str) -> bool:
    """Whether two names are of one data set: a path may be written in several ways."""
    return one == other or (
        index.slug(one) == index.slug(other) and index.version(one) == index.version(other)
    )


def _kept(path: Path) -> dict[str, Any]:
    """What an earlier evaluation wrote; nothing if it is not there or not whole."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}


def _average(contents: Mapping[str, Mapping[str, Any]], metric: str) -> float:
    """The weighted average over the data sets that a run was tested on."""
    values = {
        name: content["models"][content["model"]]["summary"][metric]["median"]
        for name, content in contents.items()
    }
    videos = {name: content["data"]["videos"] for name, content in contents.items()}
    return protocol.weighted_average(values, videos)


def _comparisons(configs: Mapping[RunFolder, Config]) -> list[str]:
    """The first run on each data set against the others on it, in words."""
    found = []
    for run, config in configs.items():
        name = config["data"]["name"]
        same = [each for each, other in configs.items() if _same(other["data"]["name"], name)]
        if len(same) == 1 < len(configs):
            found.append(f"{run.path} is compared with none: it alone is on {name}.")
        elif run != same[0]:
            found.append(_comparison(same[0], run, configs))
    return found


def _comparison(first: RunFolder, other: RunFolder, configs: Mapping[RunFolder, Config]) -> str:
    parts, others = (splits.read(run.path / "splits.json") for run in (first, other))
    if parts != others:
        return f"{first.path} and {other.path} are not compared: their splits differ."
    ours, theirs = [predictions.read(run.path / "predictions.csv") for run in (first, other)]
    videos = labelled_videos(configs[first])
    contents = {video.video_id: video.reference_id for video in videos}
    title = index.about(configs[first]["data"]["name"]).title
    found = paired.compare(ours, theirs, contents, parts)
    return paired.in_words(str(first.path), f"{other.path} on {title}", found)


def _support_vectors(
    config: Config, videos: Sequence[Video], parts: Sequence[Split], run: RunFolder
) -> None:
    extractor = open_extractor(config["features"])
    run.check_recipe(extractor.recipe.as_dict())
    features = stored_features(config, videos, extractor)
    run.check(plain(config), {"features": features.digest})
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
            tested = features.rows(replica.split.test)
            rows += predictions.tested(replica, features, scores[tested])
        advance("", len(trainings), len(trainings))
    (run.path / "svr").mkdir(exist_ok=True)
    predictions.write(run.path / "svr" / "predictions.csv", rows)
