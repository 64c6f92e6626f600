"""Training, validation and test parts that share no content.

Clips made from one source look alike whatever befell them, so a split that parted them would measure memory.
Parts are therefore drawn from contents (`reference_id`), and a content's videos stay together. Splits that
others have made may part them: `leaks` counts.
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

from a2inet_jax import atomic
from a2inet_jax.datasets.video import Video


@dataclass(frozen=True)
class Split:
    """Video ids of the three parts, each sorted; `validation` may be empty."""

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
    """Draw splits by content.

    Args:
      videos: the whole data set, in any order.
      number: how many splits; each is an independent draw, again where an earlier one had its test part.
      seed: of the draws. Split k does not depend on `number`.
      test_fraction: share of the contents that is tested on, rounded, at least one.
      validation_fraction: share of the remaining contents, rounded, at least one; 0 gives no validation part.

    Returns:
      The splits. Every video is in exactly one part of each, and no content is in two. No two splits test on
      the same contents.

    Raises:
      ValueError: a video id occurs twice, a number is out of range, or there are too few contents for parts
        that are not empty, or for so many test parts.
    """
    if not 0 < test_fraction < 1 or not 0 <= validation_fraction < 1:
        raise ValueError(
            f"fractions must lie between 0 and 1: test {test_fraction}, validation {validation_fraction}"
        )
    if number < 1:
        raise ValueError(f"{number} splits: take at least 1")
    _check_unique([video.video_id for video in videos])
    contents = sorted({video.reference_id for video in videos})
    tested = max(1, round(test_fraction * len(contents)))
    rest = len(contents) - tested
    validated = max(1, round(validation_fraction * rest)) if validation_fraction else 0
    if rest - validated < 1:
        raise ValueError(
            f"{len(contents)} contents are too few for {tested} to test on and {validated} to validate on: "
            "nothing would be left to train on"
        )
    if number > (possible := math.comb(len(contents), tested)):
        raise ValueError(
            f"{number} splits of {len(contents)} contents, {tested} of them to test on: there are only "
            f"{possible} such test parts. Take fewer (splits.number), another share (splits.test), or more "
            "contents"
        )
    splits = []
    before: set[frozenset[str]] = set()
    for index in range(number):
        random = np.random.default_rng([seed, index])
        shuffled = random.permutation(contents).tolist()
        while frozenset(shuffled[:tested]) in before:
            shuffled = random.permutation(contents).tolist()
        before.add(frozenset(shuffled[:tested]))
        test, validation = shuffled[:tested], shuffled[tested : tested + validated]
        train = shuffled[tested + validated :]
        splits.append(Split(*(_ids(videos, part) for part in (train, validation, test))))
    return splits


def own_split(videos: Sequence[Video], seed: int, validation_fraction: float) -> Split:
    """The split that a data set itself makes, less a validation part that is drawn by content.

    Args:
      videos: the whole data set, each with its part, "train" or "test".
      seed: of the draw.
      validation_fraction: share of the training part's contents, rounded, at least one; 0 gives no
        validation part.

    Returns:
      The split. Whether its own training and test part share contents is for the data set to answer.

    Raises:
      ValueError: a video id occurs twice, the fraction is out of range, the data set leaves a video's part
        open, one part is missing, or the training part has too few contents.
    """
    if not 0 <= validation_fraction < 1:
        raise ValueError(f"the validation fraction must lie between 0 and 1: {validation_fraction}")
    _check_unique([video.video_id for video in videos])
    parts = Counter(video.part for video in videos)
    if set(parts) != {"train", "test"}:
        found = ", ".join(f"{n} in {part!r}" for part, n in sorted(parts.items())) or "no videos"
        raise ValueError(
            f"the data set makes no split of its own, with a train and a test part: it has {found}. "
            "Take splits.kind=content"
        )
    train = [video for video in videos if video.part == "train"]
    contents = sorted({video.reference_id for video in train})
    validated = max(1, round(validation_fraction * len(contents))) if validation_fraction else 0
    if len(contents) <= validated:
        raise ValueError(f"{len(contents)} contents to train on are too few to validate on some")
    shuffled = np.random.default_rng([seed, 0]).permutation(contents).tolist()
    return Split(
        _ids(train, shuffled[validated:]),
        _ids(train, shuffled[:validated]),
        tuple(sorted(video.video_id for video in videos if video.part == "test")),
    )


def leaks(splits: Sequence[Split], videos: Sequence[Video]) -> int:
    """How many contents have videos in two parts of a split, in the worst of the splits.

    Splits drawn by content have none; published ones may have many. Ids of other videos are passed over.
    """
    content = {video.video_id: video.reference_id for video in videos}
    worst = 0
    for split in splits:
        parts = ({content[name] for name in part if name in content} for part in _parts(split))
        times = Counter(name for part in parts for name in part)
        worst = max(worst, sum(number > 1 for number in times.values()))
    return worst


def check(splits: Sequence[Split], videos: Sequence[Video]) -> None:
    """Make sure that every video of the splits is in the data set.

    Raises:
      ValueError: some are not; names the first.
    """
    known = {video.video_id for video in videos}
    named = {name for split in splits for part in _parts(split) for name in part}
    if unknown := sorted(named - known):
        first = ", ".join(unknown[:3]) + (", ..." if len(unknown) > 3 else "")
        raise ValueError(
            f"{len(unknown)} of {len(named)} videos of the splits are not in the data set: {first}. The "
            "splits are of another one, or these videos are missing"
        )


def check_tested(splits: Sequence[Split], videos: Sequence[Video]) -> None:
    """Make sure that each test part has something to rank: two videos at least, and not of one label.

    Raises:
      ValueError: one has not; says what it has of how many.
    """
    labels = {video.video_id: video.mos for video in videos}
    contents = len({video.reference_id for video in videos})
    for number, split in enumerate(splits):
        if len({labels[name] for name in split.test}) < 2:
            only = ", all of one label" if len(split.test) > 1 else ""
            raise ValueError(
                f"split {number} has {len(split.test)} of {len(videos)} videos, which show {contents} "
                f"contents, to test on{only}: a correlation needs two videos of different labels at least"
            )


def restrict(splits: Sequence[Split], videos: Sequence[Video]) -> list[Split]:
    """The splits without videos that are not in the data set, whose files may be missing.

    Raises:
      ValueError: nothing is left to train on, to test on, or to validate on where something was.
    """
    known = {video.video_id for video in videos}
    left = []
    for number, split in enumerate(splits):
        kept = Split(*(tuple(name for name in part if name in known) for part in _parts(split)))
        if not kept.train or not kept.test or bool(kept.validation) < bool(split.validation):
            raise ValueError(f"split {number}: all videos of a part are missing from the data set")
        left.append(kept)
    return left


def digest(splits: Sequence[Split]) -> str:
    """SHA-256 of what splits say."""
    return _hash([asdict(split) for split in splits])


def save(splits: Sequence[Split], path: Path) -> None:
    """Write splits as JSON with a hash of what they say; FolderError where that can't be done."""
    body = [asdict(split) for split in splits]
    text = json.dumps({"sha256": _hash(body), "splits": body}, indent=1) + "\n"
    atomic.write(path, text.encode())


def read(path: Path) -> list[Split]:
    """Read splits written by `save`.

    Raises:
      FileNotFoundError: no such file.
      ValueError: the file is not one of `save`, was changed since, or has a video in two parts.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"there are no splits at {path}: `a2inet train` draws those of a run, `a2inet data splits` "
            "imports published ones"
        )
    try:
        found = json.loads(path.read_text())
        body, digest = found["splits"], found["sha256"]
        splits = [Split(**{name: tuple(ids) for name, ids in split.items()}) for split in body]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a splits file: delete it and make it again") from error
    if _hash(body) != digest:
        raise ValueError(f"{path} was changed since it was written: delete it and make it again")
    if not splits:
        raise ValueError(f"{path} has no splits in it: make it again")
    for number, split in enumerate(splits):
        try:
            _check_unique([name for part in _parts(split) for name in part])
        except ValueError as error:
            raise ValueError(f"{path}, split {number}, has a video in two parts: {error}") from None
    return splits


def _check_unique(video_ids: Sequence[str]) -> None:
    twice = sorted(name for name, times in Counter(video_ids).items() if times > 1)
    if twice:
        raise ValueError(f"{len(twice)} video ids occur more than once, such as {twice[0]!r}")


def _parts(split: Split) -> tuple[tuple[str, ...], ...]:
    return split.train, split.validation, split.test


def _ids(videos: Sequence[Video], contents: Sequence[str]) -> tuple[str, ...]:
    chosen = set(contents)
    return tuple(sorted(video.video_id for video in videos if video.reference_id in chosen))


def _hash(body: list[Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
