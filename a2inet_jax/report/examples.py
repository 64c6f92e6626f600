"""The clips that a report shows: where the model is right, and where it is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from a2inet_jax.evaluation.predictions import Prediction


@dataclass(frozen=True)
class Example:
    """A clip with what the model of one split, which had it in its test part, said of it.

    Attributes:
        video_id: its id.
        path: its file.
        split: number of the split.
        mos: label.
        score: prediction, in the label's unit.
        timestamps: seconds from the start, [T].
        frame_scores: score of each of these frames, in the label's unit, [T].
        thumbnails: a few frames of it: seconds from the start, and RGB uint8 [h, w, 3].
    """

    video_id: str
    path: Path
    split: int
    mos: float
    score: float
    timestamps: NDArray[np.floating]
    frame_scores: NDArray[np.floating]
    thumbnails: Sequence[tuple[float, NDArray[np.uint8]]]


def choose(
    predictions: Sequence[Prediction], number: int
) -> tuple[list[Prediction], list[Prediction]]:
    """The best and the worst cases, `number` of each, no video twice.

    Worst are those with the largest absolute error. Best are those with the smallest in each of
    `number` equal parts of the videos in the order of their MOS, for a model that is right about bad
    videos only would otherwise look right about all. A video that is in the test part of several
    splits stands for itself with its largest error among the worst, with its smallest among the best.
    """

    def error(row: Prediction) -> tuple[float, int, str]:
        return abs(row.score - row.mos), row.split, row.video

    largest = {row.video: row for row in sorted(predictions, key=error)}
    worst = sorted(largest.values(), key=error, reverse=True)[:number]
    shown = {row.video for row in worst}
    rest = [row for row in predictions if row.video not in shown]
    smallest = {row.video: row for row in sorted(rest, key=error, reverse=True)}
    by_mos = sorted(smallest.values(), key=lambda row: (row.mos, row.video))
    parts = [
        by_mos[i * len(by_mos) // number : (i + 1) * len(by_mos) // number] for i in range(number)
    ]
    return [min(part, key=error) for part in parts if part], worst
