"""Splits into train, validation and test subsets that share no content.

Clips made from one source look alike however they were degraded, so a split that separated them would
measure memory. Subsets are therefore drawn by content (`reference_id`), and the videos of a content stay
together. Splits made by others may separate them: `count_shared_contents` counts such contents.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from a2inet_jax import files
from a2inet_jax.datasets.video import Video
from a2inet_jax.errors import ConfigError, DataError


@dataclass(frozen=True)
class Split:
    """Video ids of the three subsets, each sorted; `validation` may be empty."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


def make_splits(
    videos: Sequence[Video],
    number: int,
    seed: int,
    test_fraction: float,
    validation_fraction: float,
) -> list[Split]:
    """Draw random splits by content.

    Args:
        videos: The whole data set, in any order.
        number: Number of splits. Each is drawn independently, and again if an earlier one has the same test
            set.
        seed: Seed of the draws. Split k does not depend on `number`.
        test_fraction: Fraction of the contents that are for testing, rounded, at least one content.
        validation_fraction: Fraction of the remaining contents, rounded, at least one content; 0: no
            validation set.

    Returns:
        The splits. In each, every video is in exactly one subset and no content is in two. No two splits
        test on the same contents.

    Raises:
        ConfigError: A fraction or the number is out of range, or there are not so many different test sets.
        DataError: A video id occurs twice, or there are too few contents to fill each subset.
    """
    if not 0 < test_fraction < 1 or not 0 <= validation_fraction < 1:
        raise ConfigError(
            f"fractions must be between 0 and 1: test {test_fraction}, validation {validation_fraction}"
        )
    if number < 1:
        raise ConfigError(f"splits.num_splits is {number}: take at least 1")
    _check_unique([video.video_id for video in videos])

    # Count the contents of each subset.
    contents = sorted({video.reference_id for video in videos})
    num_test = max(1, round(test_fraction * len(contents)))
    num_rest = len(contents) - num_test
    num_validation = max(1, round(validation_fraction * num_rest)) if validation_fraction else 0
    if num_rest <= num_validation:
        raise DataError(
            f"{len(contents)} contents are too few for {num_test} to test on and {num_validation} to "
            "validate on: nothing would be left to train on"
        )
    if number > (possible := math.comb(len(contents), num_test)):
        raise ConfigError(
            f"{number} splits of {len(contents)} contents, {num_test} of them to test on: there are only "
            f"{possible} such test sets. Take fewer (splits.num_splits), another fraction "
            "(splits.test_fraction), or more contents"
        )

    # Draw the splits, each with a generator of its own.
    splits = []
    drawn: set[frozenset[str]] = set()
    for index in range(number):
        random = np.random.default_rng([seed, index])
        shuffled = random.permutation(contents).tolist()
        while frozenset(shuffled[:num_test]) in drawn:
            shuffled = random.permutation(contents).tolist()
        drawn.add(frozenset(shuffled[:num_test]))
        test, rest = shuffled[:num_test], shuffled[num_test:]
        validation, train = rest[:num_validation], rest[num_validation:]
        splits.append(Split(*(_ids(videos, subset) for subset in (train, validation, test))))
    return splits


def own_split(videos: Sequence[Video], seed: int, validation_fraction: float) -> Split:
    """Return the split that a data set itself defines, with a validation set drawn by content.

    Its train and test subsets share contents if the data set defines them so.

    Args:
        videos: The whole data set; each video's `subset` is "train" or "test".
        seed: Seed of the draw.
        validation_fraction: Fraction of the training contents, rounded, at least one content; 0: no
            validation set.

    Raises:
        ConfigError: The fraction is out of range, or the data set defines no split.
        DataError: A video id occurs twice, or the training subset has too few contents.
    """
    if not 0 <= validation_fraction < 1:
        raise ConfigError(f"the validation fraction must be between 0 and 1: {validation_fraction}")
    _check_unique([video.video_id for video in videos])
    counts = Counter(video.subset for video in videos)
    if set(counts) != {"train", "test"}:
        found = ", ".join(
            f"{n} in {repr(subset) if subset else 'none'}" for subset, n in sorted(counts.items())
        )
        raise ConfigError(
            "the data set defines no split of its own, with a train and a test subset: it has "
            f"{found or 'no videos'}. Take --config.splits.kind=content"
        )
    train = [video for video in videos if video.subset == "train"]
    contents = sorted({video.reference_id for video in train})
    num_validation = (
        max(1, round(validation_fraction * len(contents))) if validation_fraction else 0
    )
    if len(contents) <= num_validation:
        raise DataError(f"{len(contents)} contents to train on are too few to validate on some")
    shuffled = np.random.default_rng([seed, 0]).permutation(contents).tolist()
    return Split(
        _ids(train, shuffled[num_validation:]),
        _ids(train, shuffled[:num_validation]),
        tuple(sorted(video.video_id for video in videos if video.subset == "test")),
    )


def count_shared_contents(splits: Sequence[Split], videos: Sequence[Video]) -> int:
    """Return the number of contents with videos in two subsets of a split, for the worst split.

    Splits drawn by content have none; published ones may have many. Ids of other videos are ignored.
    """
    content = {video.video_id: video.reference_id for video in videos}
    worst = 0
    for split in splits:
        subsets = ({content[name] for name in ids if name in content} for ids in _subsets(split))
        num_subsets = Counter(name for subset in subsets for name in subset)
        worst = max(worst, sum(number > 1 for number in num_subsets.values()))
    return worst


def check_known(splits: Sequence[Split], videos: Sequence[Video]) -> None:
    """Raise DataError unless every video of the splits is in the data set."""
    known = {video.video_id for video in videos}
    named = {name for split in splits for subset in _subsets(split) for name in subset}
    if unknown := sorted(named - known):
        first = ", ".join(unknown[:3]) + (", ..." if len(unknown) > 3 else "")
        raise DataError(
            f"{len(unknown)} of {len(named)} videos of the splits are not in the data set: {first}. The "
            "splits belong to another data set, or these videos are missing"
        )


def check_test_sets(splits: Sequence[Split], videos: Sequence[Video]) -> None:
    """Raise DataError unless every test set can be ranked: it has at least two different labels."""
    labels = {video.video_id: video.mos for video in videos}
    contents = len({video.reference_id for video in videos})
    for index, split in enumerate(splits):
        if len({labels[name] for name in split.test}) < 2:
            only = ", all with the same label" if len(split.test) > 1 else ""
            raise DataError(
                f"split {index} has {len(split.test)} of {len(videos)} videos, which show {contents} "
                f"contents, to test on{only}: a correlation needs at least two videos with different labels"
            )


def restrict(splits: Sequence[Split], videos: Sequence[Video]) -> list[Split]:
    """Return the splits without the videos that are not in the data set.

    Raises:
        DataError: A train, test or non-empty validation subset would become empty.
    """
    known = {video.video_id for video in videos}
    restricted = []
    for index, split in enumerate(splits):
        kept = Split(*(tuple(name for name in ids if name in known) for ids in _subsets(split)))
        if not kept.train or not kept.test or bool(kept.validation) < bool(split.validation):
            raise DataError(f"split {index}: all videos of a subset are missing from the data set")
        restricted.append(kept)
    return restricted


def digest(splits: Sequence[Split]) -> str:
    """Return the SHA-256 of the splits' content."""
    return _hash([asdict(split) for split in splits])


def save(splits: Sequence[Split], path: Path) -> None:
    """Write splits as JSON, with a hash of their content; raises as `files.write`."""
    body = [asdict(split) for split in splits]
    text = json.dumps({"sha256": _hash(body), "splits": body}, indent=1) + "\n"
    files.write(path, text.encode())


def read(path: Path) -> list[Split]:
    """Read splits that `save` wrote.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: The file is not a splits file, was changed, or has a video in two subsets.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"there are no splits at {path}: `a2inet train` draws those of a run, `a2inet data splits` "
            "imports published ones"
        )
    try:
        content = json.loads(path.read_text())
        body, expected = content["splits"], content["sha256"]
        splits = [Split(**{name: tuple(ids) for name, ids in split.items()}) for split in body]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not a splits file: delete it and make it again") from error
    if _hash(body) != expected:
        raise DataError(f"{path} was changed since it was written: delete it and make it again")
    if not splits:
        raise DataError(f"{path} has no splits in it: make it again")
    for index, split in enumerate(splits):
        try:
            _check_unique([name for subset in _subsets(split) for name in subset])
        except DataError as error:
            raise DataError(f"{path}, split {index}, has a video in two subsets: {error}") from None
    return splits


def _check_unique(video_ids: Sequence[str]) -> None:
    repeated = sorted(name for name, count in Counter(video_ids).items() if count > 1)
    if repeated:
        raise DataError(f"{len(repeated)} video ids occur more than once, such as {repeated[0]!r}")


def _subsets(split: Split) -> tuple[tuple[str, ...], ...]:
    return split.train, split.validation, split.test


def _ids(videos: Sequence[Video], contents: Sequence[str]) -> tuple[str, ...]:
    chosen = set(contents)
    return tuple(sorted(video.video_id for video in videos if video.reference_id in chosen))


def _hash(body: list[Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
