"""Paired tests of runs that were trained on one data set, in words."""

from collections.abc import Mapping

from a2inet_jax.build import labelled_videos
from a2inet_jax.datasets import registry, splits
from a2inet_jax.errors import A2INetError
from a2inet_jax.evaluation import paired, predictions
from a2inet_jax.run import RunFolder


def compare(names: Mapping[RunFolder, str]) -> list[str]:
    """Compare the first run on a data set and its splits with the others on them.

    Args:
        names: The names of runs that were just measured on their own data sets.

    Returns:
        A sentence for each comparison, and for each that cannot be made.
    """
    groups: dict[str, dict[str, list[RunFolder]]] = {}  # by data set and splits
    titles: dict[str, str] = {}
    for run in names:
        dataset = run.config().data.name
        place = registry.unique_slug(dataset)
        titles.setdefault(place, registry.info(dataset).title)
        digest = splits.digest(splits.read(run.path / "splits.json"))
        groups.setdefault(place, {}).setdefault(digest, []).append(run)
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


def _comparison(
    first: RunFolder, other: RunFolder, names: Mapping[RunFolder, str], title: str
) -> str:
    config = first.config()
    try:
        ours, theirs = [predictions.read(run.path / "predictions.csv") for run in (first, other)]
        contents = {video.video_id: video.reference_id for video in labelled_videos(config)}
        parts = splits.read(first.path / "splits.json")
        found = paired.compare(ours, theirs, contents, parts)
    except (A2INetError, OSError, KeyError) as error:
        return f"{names[first]} and {names[other]} are not compared: {error}"
    return paired.comparison_line(names[first], f"{names[other]} on {title}", found)
