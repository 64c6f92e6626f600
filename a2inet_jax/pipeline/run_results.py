"""A run's results on a data set: measured, or read from the run's folder if nothing has changed since."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from a2inet_jax import files
from a2inet_jax.build import (
    build_model,
    labelled_videos,
    listed_videos,
    members,
    networks,
    on,
    open_extractor,
    seeds,
    stored_features,
)
from a2inet_jax.config import Experiment
from a2inet_jax.console import progress
from a2inet_jax.datasets import registry, splits
from a2inet_jax.datasets.splits import Split
from a2inet_jax.datasets.verify import fingerprint
from a2inet_jax.datasets.video import Video
from a2inet_jax.errors import A2INetError
from a2inet_jax.evaluation import baselines, cross, predictions, protocol, uncertainty
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.evaluation.protocol import EvaluatedDataset, Results
from a2inet_jax.model import ensemble
from a2inet_jax.run import RunFolder


def measure(run: RunFolder, dataset: str = "") -> Results:
    """Return a run's results on a data set, its own if none is named, in the form of metrics.json.

    On its own data set they are those of its test subsets. On another, every split's model scores all
    videos, or those of the data set's own test subset if it has one; `cross/<data set>` in the run's folder
    keeps that, and nothing is computed again while all that it depends on is the same.

    Raises:
        FileNotFoundError: The run is not trained, or the data set is not prepared or lacks features.
        FolderError: The run's folder cannot be written.
        RunError: Labels, splits or networks here are not those that the run was trained with.
        DataError: A file of the run cannot be read.
    """
    check_trained(run)
    config = run.config()
    if not dataset or same(dataset, config.data.name):
        with run.timed("evaluation"):
            return _measure_own(run, config)
    return _measure_other(run, config, dataset)


def check_trained(run: RunFolder) -> None:
    """Check that all heads of a run are trained; `FileNotFoundError` names the first that is not."""
    for name in networks(run.config()):
        if not (run.path / name / "predictions.csv").is_file():
            raise FileNotFoundError(
                f"{run.path}: `a2inet train` has not finished with {name}; the same command resumes there"
            )


def same(one: str, other: str) -> bool:
    """Return whether two names are of one data set: a path may be written in several ways."""
    return one == other or registry.unique_slug(one) == registry.unique_slug(other)


def described(dataset: str) -> EvaluatedDataset:
    """Return a data set as tables show it; its videos are counted where it is tested."""
    about = registry.info(dataset)
    return EvaluatedDataset(about.title, 0, about.label, about.note)


def compare_runs(names: Mapping[RunFolder, str]) -> list[str]:
    """Compare the first run on a data set and its splits with the others on them, as measured just now.

    Returns:
        A sentence for each comparison, and for each that cannot be made.
    """
    # By data set and splits.
    groups: dict[str, dict[str, list[RunFolder]]] = defaultdict(lambda: defaultdict(list))
    titles: dict[str, str] = {}
    for run in names:
        dataset = run.config().data.name
        place = registry.unique_slug(dataset)
        titles.setdefault(place, registry.info(dataset).title)
        digest = splits.digest(splits.read(run.path / "splits.json"))
        groups[place][digest].append(run)
    found = []
    for place, by_splits in groups.items():
        alike = list(by_splits.values())
        if len(names) > sum(map(len, alike)) == 1:
            [[alone]] = alike
            found.append(f"{names[alone]} is compared with none: it alone is on {titles[place]}.")
        for first, *others in alike:
            found += [_comparison(first, other, names, titles[place]) for other in others]
        found += [
            f"{names[alike[0][0]]} and {names[other]} are not compared: their splits differ."
            for [other, *_] in alike[1:]
        ]
    return found


def _measure_own(run: RunFolder, config: Experiment) -> Results:
    main, rule = config.model.name, config.train.epoch_rule
    videos = labelled_videos(config)
    drawn = splits.read(run.path / "splits.json")
    run.check(config, {"labels": fingerprint(videos), "splits": splits.digest(drawn)})
    if "svr" in config.baselines and not (run.path / "svr" / "predictions.csv").is_file():
        _support_vectors(config, videos, drawn, run)
    tested: dict[str, list[Prediction]] = {
        name: _tested(run.path / name / "predictions.csv", drawn, config)
        for name in (main, *config.baselines)
    }
    predictions.write(run.path / "predictions.csv", tested[main])
    # Of a data set with its own split, the test subset is what counts, here as on other runs.
    own = config.splits.kind == "own"
    data = _data(config, videos, len(drawn[0].test) if own else len(videos))
    contents = {video.video_id: video.reference_id for video in videos}
    results = protocol.results(main, tested, data, rule, contents, drawn, config.splits.num_seeds)
    results["contents"] = len(set(contents.values()))
    results["parted"] = splits.count_shared_contents(drawn, videos)
    files.write_json(run.path / "metrics.json", results)
    return results


def _measure_other(run: RunFolder, config: Experiment, dataset: str) -> Results:
    model_file = run.path / "model.safetensors"
    models = ensemble.load(model_file)
    target = on(config, dataset)
    labelled = labelled_videos(target)
    videos = cross.test_set(labelled)
    data = _data(target, labelled, len(videos))
    extractor = open_extractor(config)
    run.check_recipe(extractor.recipes)
    remedy = f"`a2inet evaluate {run.path} --datasets={dataset}` extracts them, and lists those that fail"
    features = stored_features(target, videos, extractor.recipes, remedy)
    trained_on = set().union(*run.training_files())
    known = cross.shared_videos(videos, features.file_sha256, _trained_on(config), trained_on)
    inputs: dict[str, Any] = {
        "model": files.sha256(model_file),
        "features": features.digest,
        "labels": fingerprint(labelled),
        "note": data.note,
        "known": len(known),
    }
    path = run.path / "cross" / registry.unique_slug(dataset) / "metrics.json"
    if (kept := _kept(path)) and kept.get("inputs") == inputs:
        return kept
    rows = cross.score_all(
        models,
        build_model(config.model.name, config.model),
        features,
        members(config, splits.read(run.path / "splits.json")),
        config.train,
    )
    results = cross.results(
        config.model.name,
        rows,
        data,
        config.train.epoch_rule,
        {video.video_id: video.reference_id for video in videos},
        config.splits.num_seeds,
        registry.info(config.data.name).title,
        models.label_ranges,
        inputs["known"],
    )
    results |= {"dataset": dataset, "inputs": inputs}
    predictions.write(path.with_name("predictions.csv"), rows)
    files.write_json(path, results)
    return results


def _tested(path: Path, drawn: Sequence[Split], config: Experiment) -> list[Prediction]:
    rows = predictions.read(path)
    predictions.check_complete(path, rows, drawn, seeds(config))
    return rows


def _data(config: Experiment, videos: Sequence[Video], number: int) -> EvaluatedDataset:
    """The config's data set: these of its labelled videos are here, and `number` of them are tested."""
    about = registry.info(config.data.name)
    notes = [about.note]
    if config.data.allow_missing:
        listed = len(listed_videos(config))
        if missing := listed - len(videos):
            notes.append(f"{missing} of the {listed} labelled videos were missing.")
    return EvaluatedDataset(about.title, number, about.label, " ".join(filter(None, notes)))


def _trained_on(config: Experiment) -> list[Video]:
    """The videos of a run's own data set; none if it is not here any more."""
    try:
        return listed_videos(config)
    except (A2INetError, OSError):
        return []


def _kept(path: Path) -> Results:
    """The results of an earlier evaluation; {} if they are not there or not whole."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}


def _support_vectors(
    config: Experiment, videos: Sequence[Video], drawn: Sequence[Split], run: RunFolder
) -> None:
    extractor = open_extractor(config)
    run.check_recipe(extractor.recipes)
    features = stored_features(config, videos, extractor.recipes)
    run.check(config, {"features": features.digest})
    pooled = baselines.mean_pool(features.read(n) for n in range(len(videos)))
    contents = [video.reference_id for video in videos]
    rows: list[Prediction] = []
    ensemble_members = members(config, drawn)
    with progress("svr") as advance:
        for done, member in enumerate(ensemble_members):
            advance(f"split {member.split_index}", done, len(ensemble_members))
            # It has no epochs to choose among, so it may learn from the validation subset as well.
            known = features.indices((*member.split.train, *member.split.validation))
            scores = baselines.svr_scores(pooled, features.mos, contents, known, member.seed)
            tested = features.indices(member.split.test)
            rows += predictions.member_predictions(member, features, scores[tested])
        advance("", len(ensemble_members), len(ensemble_members))
    predictions.write(run.path / "svr" / "predictions.csv", rows)


def _comparison(
    first: RunFolder, other: RunFolder, names: Mapping[RunFolder, str], title: str
) -> str:
    config = first.config()
    try:
        ours, theirs = [predictions.read(run.path / "predictions.csv") for run in (first, other)]
        contents = {video.video_id: video.reference_id for video in labelled_videos(config)}
        parts = splits.read(first.path / "splits.json")
        found = uncertainty.compare(ours, theirs, contents, parts)
    except (A2INetError, OSError, KeyError) as error:
        return f"{names[first]} and {names[other]} are not compared: {error}"
    return uncertainty.comparison_line(names[first], f"{names[other]} on {title}", found)
