"""From the name of a data set to its labelled videos.

TFDS takes seconds to import, so it is imported only where a data set is prepared or read.
"""

from collections.abc import Callable
from pathlib import Path

from a2inet_jax.datasets.video import Video

# What the labels of each data set are, and what a reader of results must know of them.
LABELS = {
    "sample": (
        "VMAF",
        "The labels are VMAF, a metric that sees the pristine source: no person has rated these clips.",
    )
}


def prepare(name: str, data_dir: Path, on_progress: Callable[[str, int, int], None]) -> None:
    """Make what is missing of a data set under the data folder; quick when all is there.

    Args:
      name: the data set.
      data_dir: the data folder.
      on_progress: called with (video id, videos done, videos in all).

    Raises:
      ValueError: there is no data set of that name.
      ClipError: a clip could not be made.
      PackageFileError: the source of a clip could not be fetched.
    """
    _check(name)
    from a2inet_jax.datasets.sample import prepare as sample

    sample.prepare(data_dir, None, on_progress)


def load(name: str, data_dir: Path) -> list[Video]:
    """The labelled videos of a prepared data set.

    Returns:
      All videos, sorted by video id.

    Raises:
      ValueError: there is no data set of that name.
      FileNotFoundError: it was not prepared, or not completely.
    """
    _check(name)
    from a2inet_jax.datasets.sample import prepare as sample
    from a2inet_jax.datasets.sample import sample_dataset_builder
    from a2inet_jax.datasets.sample.recipe import Recipe

    return sample_dataset_builder.read(sample.folder(data_dir, Recipe()))


def label(name: str) -> tuple[str, str]:
    """What a data set's labels are called, and what must be said of them; ValueError for another name."""
    _check(name)
    return LABELS[name]


def version(name: str) -> str:
    """What the videos of a data set are a version of: features of one version don't serve another."""
    _check(name)
    from a2inet_jax.datasets.sample.recipe import Recipe

    return Recipe().fingerprint()


def _check(name: str) -> None:
    if name not in LABELS:
        raise ValueError(f"no data set {name!r}: known are {', '.join(LABELS)}")
