"""`a2inet evaluate`: metrics of a run's model and its baselines, and of runs on the data sets of others."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.text import Text

from a2inet_jax.checksum import sha256
from a2inet_jax.commands.extract import extract
from a2inet_jax.console import console, printable, progress, say
from a2inet_jax.datasets import index, splits
from a2inet_jax.datasets.splits import Split
from a2inet_jax.datasets.verify import fingerprint
from a2inet_jax.datasets.video import Video
from a2inet_jax.evaluation import baselines, cross, paired, predictions, protocol
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.evaluation.protocol import Data, Results
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
from a2inet_jax.report import sheets, side_by_side
from a2inet_jax.report.columns import Sheet
from a2inet_jax.report.sheets import Outcome
from a2inet_jax.run_folder import RunFolder
from a2inet_jax.training.settings import Settings


def evaluate(config: Config) -> int:
    """Metrics of the model and the baselines on the test parts: metrics.json, and a table on the screen."""
    run = RunFolder(Path("runs") / config["name"])
    run.check(plain(config))
    results = _measure(run, config)
    _show(sheets.of_models(Outcome(run.path, results)), protocol.comparisons(results))
    return 0


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
    named = sheets.names([(run.path, configs[run]["name"]) for run in folders])
    names = dict(zip(folders, named, strict=True))
    rows: dict[str, dict[str, Outcome | str]] = {}
    with progress("evaluate") as advance:
        for done, (run, dataset) in enumerate(cells):
            advance(f"{run.path} on {dataset}", done, len(cells))
            try:
                results = cross_evaluate(run.path, dataset)
                rows.setdefault(names[run], {})[dataset] = Outcome(run.path, results)
            except FileNotFoundError as error:  # what is there is shown
                code = 1
                say(f"{run.path} on {dataset}: {error}", "red")
        advance("", len(cells), len(cells))
    if not rows:
        return 1
    title = f"{len(rows)} runs" if len(rows) > 1 else next(iter(rows))
    shown = dict.fromkeys(dataset for row in rows.values() for dataset in row)
    sheet = sheets.of_rows(title, rows, {name: described(name) for name in shown})
    here = {run: name for run, name in names.items() if name in rows}
    _show(sheet, _comparisons(here, configs))
    return code


def described(dataset: str) -> Data:
    """A data set as sheets tell of it; its videos are counted where it is tested."""
    about = index.about(dataset)
    return Data(about.title, 0, about.label, about.note)


def cross_evaluate(run: Path, dataset: str) -> Results:
    """A run's results on a data set, in the form of metrics.json.

    On its own data set they are those of its test parts. On another, every split's model scores all
    videos, or those of the test part where the data set has one of its own; `cross/<data set>` in the
    run's folder keeps that, and nothing is done again while models, features and labels are the same.

    Raises:
        FileNotFoundError: the run is not trained, or the data set is not prepared or lacks features.
        FolderError: the run's folder can't be written.
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
    rows = cross.predictions(
        models,
        build_model(name, config["model"]),
        features,
        trainings,
        Settings(**config["train"]),
    )
    results = cross.results(
        name,
        rows,
        Data(about.title, len(videos), about.label, f"{about.note} {missing}".strip()),
        config["train"]["epoch_rule"],
        {video.video_id: video.reference_id for video in videos},
        config["splits"]["seeds"],
        index.about(config["data"]["name"]).title,
        models.label_ranges,
    )
    results |= {"inputs": inputs}
    predictions.write(path.with_name("predictions.csv"), rows)
    protocol.write(path, results)
    return results


def _measure(run: RunFolder, config: Config) -> Results:
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
    data = Data(about.title, number, about.label, note)
    contents = {video.video_id: video.reference_id for video in videos}
    results = protocol.results(main, tested, data, rule, contents, parts, config["splits"]["seeds"])
    protocol.write(run.path / "metrics.json", results)
    return results


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


def _kept(path: Path) -> Results:
    """What an earlier evaluation wrote; nothing if it is not there or not whole."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}


def _show(sheet: Sheet, comparisons: Sequence[str]) -> None:
    lines = [Text(printable(line)) for line in comparisons]
    console.print(side_by_side.terminal(sheet, console.width), *lines, sep="\n")


def _comparisons(names: Mapping[RunFolder, str], configs: Mapping[RunFolder, Config]) -> list[str]:
    """The first run on each data set against the others on it, in words."""
    found = []
    for run, name in names.items():
        dataset = configs[run]["data"]["name"]
        same = [each for each in names if _same(configs[each]["data"]["name"], dataset)]
        if len(same) == 1 < len(names):
            found.append(f"{name} is compared with none: it alone is on {dataset}.")
        elif run != same[0]:
            found.append(_comparison(same[0], run, names, configs[same[0]]))
    return found


def _comparison(
    first: RunFolder, other: RunFolder, names: Mapping[RunFolder, str], config: Config
) -> str:
    parts, others = (splits.read(run.path / "splits.json") for run in (first, other))
    if parts != others:
        return f"{names[first]} and {names[other]} are not compared: their splits differ."
    ours, theirs = [predictions.read(run.path / "predictions.csv") for run in (first, other)]
    contents = {video.video_id: video.reference_id for video in labelled_videos(config)}
    title = index.about(config["data"]["name"]).title
    found = paired.compare(ours, theirs, contents, parts)
    return paired.in_words(names[first], f"{names[other]} on {title}", found)


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
    predictions.write(run.path / "svr" / "predictions.csv", rows)
