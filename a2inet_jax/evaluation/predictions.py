"""Test predictions as a table: one row for each video of each split's test part, and each seed."""

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from a2inet_jax import atomic
from a2inet_jax.datasets.splits import Split
from a2inet_jax.evaluation.metrics import Metrics, measure
from a2inet_jax.evaluation.uncertainty import Part
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.members import Member

REMEDY = "delete it, and `a2inet train` and `evaluate` make it again"


class Prediction(NamedTuple):
    """What a split's model said of a video of that split's test part.

    Attributes:
        split: number of the split, from 0.
        video: video id.
        mos: label.
        score: prediction, in the label's unit.
        seed: of the training.
    """

    split: int
    video: str
    mos: float
    score: float
    seed: int = 0


def tested(member: Member, features: TrainingData, scores: np.ndarray) -> list[Prediction]:
    """Rows of a member's test part, whose scores `[n]` are in the part's order."""
    return [
        Prediction(
            member.split_index, features.ids[n], float(features.mos[n]), float(score), member.seed
        )
        for n, score in zip(features.rows(member.split.test), scores, strict=True)
    ]


def write(path: Path, predictions: Iterable[Prediction]) -> None:
    """Writes the CSV `split,video,mos,score,seed`, sorted; whole or not at all.

    Labels come back exactly. Scores have the nine digits that tell float32 numbers apart, on any scale.

    Raises:
        FolderError: the file can't be written.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(Prediction._fields)
    for row in sorted(predictions):
        table.writerow([row.split, row.video, repr(float(row.mos)), f"{row.score:.9g}", row.seed])
    atomic.write(path, text.getvalue().encode())


def read(path: Path) -> list[Prediction]:
    """Reads what `write` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has other columns, values that are not finite numbers, or no rows; names it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: `a2inet evaluate` writes it")
    try:
        rows = _rows(path)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8 ({error}): {REMEDY}") from None
    if not rows:
        raise ValueError(f"{path} holds no predictions: {REMEDY}")
    return rows


def check(
    path: Path, rows: Iterable[Prediction], splits: Sequence[Split], seeds: Iterable[int]
) -> None:
    """Makes sure that rows are those of the test parts, each video once a seed.

    Raises:
        ValueError: rows are missing, or others are there; names the file.
    """
    found = Counter((row.split, row.seed, row.video) for row in rows)
    wanted = Counter(
        (number, seed, video)
        for seed in seeds
        for number, split in enumerate(splits)
        for video in split.test
    )
    if found != wanted:
        raise ValueError(
            f"{path} lacks {(wanted - found).total()} of {wanted.total()} predictions, and has "
            f"{(found - wanted).total()} that are not of the splits' test parts: {REMEDY}"
        )


def _rows(path: Path) -> list[Prediction]:
    with path.open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file)
        if list(table.fieldnames or ()) != list(Prediction._fields):
            wanted = ",".join(Prediction._fields)
            raise ValueError(f"{path}: the columns must be {wanted}, not {table.fieldnames}")
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
                raise ValueError(f"{path}, line {table.line_num}: {error}: {REMEDY}") from None
            rows.append(row)
    return rows


def by_training(predictions: Iterable[Prediction]) -> list[list[Prediction]]:
    """The rows of each split and seed, in the order of their numbers; within one, sorted by video."""

    def training(row: Prediction) -> tuple[int, int]:
        return row.split, row.seed

    ordered = sorted(sorted(predictions), key=training)
    return [list(rows) for _, rows in groupby(ordered, key=training)]


def measure_splits(predictions: Iterable[Prediction]) -> list[Metrics]:
    """Metrics of each split and seed, in the order of their numbers."""
    return [
        measure([row.score for row in part], [row.mos for row in part])
        for part in by_training(predictions)
    ]


def parts(predictions: Iterable[Prediction], contents: Mapping[str, str]) -> list[Part]:
    """The test part of each split and seed, with the content of each video, in the order of their numbers."""
    return [
        Part(
            np.array([row.score for row in part]),
            np.array([row.mos for row in part]),
            [contents[row.video] for row in part],
        )
        for part in by_training(predictions)
    ]
