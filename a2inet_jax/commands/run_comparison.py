"""Runs against each other, in words: what a paired test says of those that were trained on one data set."""

from collections.abc import Mapping

from a2inet_jax.commands.run_results import same
from a2inet_jax.datasets import index, splits
from a2inet_jax.evaluation import paired, predictions
from a2inet_jax.from_config import Config, labelled_videos
from a2inet_jax.run_folder import RunFolder


def compare(names: Mapping[RunFolder, str]) -> list[str]:
    """The first run on each data set against the others on it.

    Args:
        names: what runs are called that were just measured on their own data sets.
    """
    configs = {run: run.config() for run in names}
    found = []
    for run, name in names.items():
        dataset = configs[run]["data"]["name"]
        alike = [each for each in names if same(configs[each]["data"]["name"], dataset)]
        if len(alike) == 1 < len(names):
            found.append(f"{name} is compared with none: it alone is on {dataset}.")
        elif run != alike[0]:
            found.append(_comparison(alike[0], run, names, configs[alike[0]]))
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
