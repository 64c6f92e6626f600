"""Test predictions as a table: one row per video of a split's test set, for each seed."""

import csv
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from a2inet_jax import files
from a2inet_jax.datasets.splits import Split
from a2inet_jax.errors import RunError
from a2inet_jax.metrics import MIN_POINTS, Metrics, measure, srcc
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.members import Member

REMEDY = "delete it, and `a2inet train` and `a2inet evaluate` write it again"


class Prediction(NamedTuple):
    """Score of a video by an ensemble member that has it in its test set.

    Attributes:
        split: Index of the split.
        video: Video id.
        mos: Label.
        score: In the unit of the label.
        seed: Seed of the ensemble member.
    """

    split: int
    video: str
    mos: float
    score: float
    seed: int = 0


def member_predictions(
    member: Member, features: TrainingData, scores: np.ndarray
) -> list[Prediction]:
    """Return the predictions for a member's test set, whose scores `[n]` are in the order of the set."""
    return [
        Prediction(
            member.split_index, features.ids[n], float(features.mos[n]), float(score), member.seed
        )
        for n, score in zip(features.indices(member.split.test), scores, strict=True)
    ]


def write(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write the CSV file `split,video,mos,score,seed`, sorted; whole or not at all.

    Labels are read back exactly. Scores have nine digits, which distinguish float32 numbers on any scale.

    Raises:
        FolderError: The file cannot be written.
    """
    rows = (
        (row.split, row.video, repr(float(row.mos)), f"{row.score:.9g}", row.seed)
        for row in sorted(predictions)
    )
    files.write_csv(path, Prediction._fields, rows)


def read(path: Path) -> list[Prediction]:
    """Read a file of `write`.

    Raises:
        FileNotFoundError: There is no such file.
        RunError: The file has other columns, values that are not finite numbers, or no rows.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: `a2inet evaluate` writes it")
    try:
        rows = _rows(path)
    except UnicodeDecodeError as error:
        raise RunError(f"{path} is not UTF-8 text ({error}): {REMEDY}") from None
    if not rows:
        raise RunError(f"{path} has no predictions: {REMEDY}")
    return rows


def check_complete(
    path: Path, rows: Iterable[Prediction], splits: Sequence[Split], seeds: Iterable[int]
) -> None:
    """Check that there is one row for each test video of each split and seed, and no other.

    Raises:
        RunError: Rows are missing, or there are others.
    """
    found = Counter((row.split, row.seed, row.video) for row in rows)
    expected = Counter(
        (index, seed, video)
        for seed in seeds
        for index, split in enumerate(splits)
        for video in split.test
    )
    if found != expected:
        raise RunError(
            f"{path} lacks {(expected - found).total()} of {expected.total()} predictions, and has "
            f"{(found - expected).total()} that do not belong to the splits' test sets: {REMEDY}"
        )


def _rows(path: Path) -> list[Prediction]:
    with path.open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file)
        if list(table.fieldnames or ()) != list(Prediction._fields):
            expected = ",".join(Prediction._fields)
            raise RunError(f"{path}: the columns must be {expected}, not {table.fieldnames}")
        rows = []
        for cells in table:
            try:
                if None in cells:
                    raise ValueError("it has more cells than the header")
                row = Prediction(
                    split=int(cells["split"]),
                    video=cells["video"],
                    mos=float(cells["mos"]),
                    score=float(cells["score"]),
                    seed=int(cells["seed"]),
                )
                if not (math.isfinite(row.mos) and math.isfinite(row.score)):
                    raise ValueError("a number is not finite")
            except (TypeError, ValueError) as error:
                raise RunError(f"{path}, line {table.line_num}: {error}: {REMEDY}") from None
            rows.append(row)
    return rows


def by_member(predictions: Iterable[Prediction]) -> list[list[Prediction]]:
    """Group the rows by ensemble member, in the order of split index and seed; sort each by video."""
    member = attrgetter("split", "seed")
    ordered = sorted(sorted(predictions), key=member)
    return [list(rows) for _, rows in groupby(ordered, key=member)]


def measure_members(predictions: Iterable[Prediction]) -> list[Metrics]:
    """Return the metrics of each ensemble member's test set, in the order of `by_member`."""
    return [
        measure([row.score for row in rows], [row.mos for row in rows])
        for rows in by_member(predictions)
    ]


class GroupSrcc(NamedTuple):
    """Agreement within one group of videos, such as those of a content.

    Attributes:
        name: Name of the group.
        videos: Number of its videos.
        predictions: Number of their predictions: a video may be in the test sets of several splits.
        srcc: Correlation of all predictions with the labels; None where it is undefined, or the videos are
            fewer than `MIN_POINTS`.
    """

    name: str
    videos: int
    predictions: int
    srcc: float | None


def srcc_by_group(predictions: Iterable[Prediction], groups: Mapping[str, str]) -> list[GroupSrcc]:
    """Return the SRCC of each of the videos' groups, over the test sets of all splits and seeds, by name."""
    by_group: dict[str, list[Prediction]] = defaultdict(list)
    for row in predictions:
        by_group[groups[row.video]].append(row)
    found = []
    for name, rows in sorted(by_group.items()):
        videos = len({row.video for row in rows})
        value = math.nan
        if videos >= MIN_POINTS:
            value = srcc([row.score for row in rows], [row.mos for row in rows])
        found.append(GroupSrcc(name, videos, len(rows), None if math.isnan(value) else value))
    return found
