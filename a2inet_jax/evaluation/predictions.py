"""Test predictions as a table: one row for each video of each split's test part, and each seed."""

import csv
import io
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from a2inet_jax import atomic
from a2inet_jax.evaluation.metrics import Metrics, measure
from a2inet_jax.evaluation.uncertainty import Part
from a2inet_jax.training.features import Features
from a2inet_jax.training.replica import Replica


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


def tested(replica: Replica, features: Features, scores: np.ndarray) -> list[Prediction]:
    """Rows of a replica's test part, whose scores `[n]` are in the part's order."""
    return [
        Prediction(
            replica.number, features.ids[n], float(features.mos[n]), float(score), replica.seed
        )
        for n, score in zip(features.rows(replica.split.test), scores, strict=True)
    ]


def write(path: Path, predictions: Iterable[Prediction]) -> None:
    """Writes the CSV `split,video,mos,score,seed`, sorted, with six decimals; whole or not at all.

    Raises:
        FolderError: the file can't be written.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(Prediction._fields)
    for row in sorted(predictions):
        table.writerow([row.split, row.video, f"{row.mos:.6f}", f"{row.score:.6f}", row.seed])
    atomic.write(path, text.getvalue().encode())


def read(path: Path) -> list[Prediction]:
    """Reads what `write` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has other columns, values that are not numbers, or no rows.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: `a2inet evaluate` writes it")
    with path.open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file)
        if list(table.fieldnames or ()) != list(Prediction._fields):
            wanted = ",".join(Prediction._fields)
            raise ValueError(f"{path}: the columns must be {wanted}, not {table.fieldnames}")
        try:
            rows = [
                Prediction(
                    split=int(r["split"]),
                    video=r["video"],
                    mos=float(r["mos"]),
                    score=float(r["score"]),
                    seed=int(r["seed"]),
                )
                for r in table
            ]
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}, line {table.line_num}: {error}") from None
    if not rows:
        raise ValueError(f"{path} holds no predictions: delete it and evaluate again")
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
