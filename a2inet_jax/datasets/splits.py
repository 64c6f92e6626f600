"""Training, validation and test parts that share no content.

Clips made from one source look alike whatever befell them, so a split that parted them would measure memory.
Parts are therefore drawn from contents (`reference_id`), and a content's videos stay together.
"""

import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

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
      number: how many splits; each is an independent draw.
      seed: of the draws. Split k does not depend on `number`.
      test_fraction: share of the contents that is tested on, rounded, at least one.
      validation_fraction: share of the remaining contents, rounded, at least one; 0 gives no validation part.

    Returns:
      The splits. Every video is in exactly one part of each, and no content is in two.

    Raises:
      ValueError: a video id occurs twice, a fraction is out of range, or there are too few contents for parts
        that are not empty.
    """
    if not 0 < test_fraction < 1 or not 0 <= validation_fraction < 1:
        raise ValueError(
            f"fractions must lie between 0 and 1: test {test_fraction}, validation {validation_fraction}"
        )
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
    splits = []
    for index in range(number):
        shuffled = np.random.default_rng([seed, index]).permutation(contents).tolist()
        test, validation = shuffled[:tested], shuffled[tested : tested + validated]
        train = shuffled[tested + validated :]
        splits.append(Split(*(_ids(videos, part) for part in (train, validation, test))))
    return splits


def save(splits: Sequence[Split], path: Path) -> None:
    """Write splits as JSON with a hash of what they say; aside first, then renamed."""
    body = [asdict(split) for split in splits]
    text = json.dumps({"sha256": _hash(body), "splits": body}, indent=1) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        os.replace(part, path)
    finally:
        Path(part).unlink(missing_ok=True)


def read(path: Path) -> list[Split]:
    """Read splits written by `save`.

    Raises:
      FileNotFoundError: no such file.
      ValueError: the file is not one of `save`, was changed since, or has a video in two parts.
    """
    if not path.exists():
        raise FileNotFoundError(f"there are no splits at {path}: `a2inet train` draws them")
    try:
        found = json.loads(path.read_text())
        body, digest = found["splits"], found["sha256"]
        splits = [Split(**{name: tuple(ids) for name, ids in split.items()}) for split in body]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no file of splits: delete it and train again") from error
    if _hash(body) != digest:
        raise ValueError(f"{path} was changed since it was written: delete it and train again")
    for number, split in enumerate(splits):
        try:
            _check_unique([*split.train, *split.validation, *split.test])
        except ValueError as error:
            raise ValueError(f"{path}, split {number}, has a video in two parts: {error}") from None
    return splits


def _check_unique(video_ids: Sequence[str]) -> None:
    twice = sorted(name for name, times in Counter(video_ids).items() if times > 1)
    if twice:
        raise ValueError(f"{len(twice)} video ids occur more than once, such as {twice[0]!r}")


def _ids(videos: Sequence[Video], contents: Sequence[str]) -> tuple[str, ...]:
    chosen = set(contents)
    return tuple(sorted(video.video_id for video in videos if video.reference_id in chosen))


def _hash(body: list[Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
