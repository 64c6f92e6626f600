"""The choice of the videos that a report shows: the best and the worst predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from a2inet_jax.evaluation.predictions import Prediction


@dataclass(frozen=True)
class Example:
    """A video and its prediction by the model of a split that has it in the test set.

    Attributes:
        video_id: Id of the video.
        path: Its file.
        split: Index of the split.
        mos: Label.
        score: Predicted score, in the unit of the label.
        timestamps: Seconds from the start, [T].
        frame_scores: Score of each of these frames, in the unit of the label, [T].
        thumbnails: A few of the frames: seconds from the start, and RGB uint8 [h, w, 3].
    """

    video_id: str
    path: Path
    split_index: int
    mos: float
    score: float
    timestamps: NDArray[np.floating]
    frame_scores: NDArray[np.floating]
    thumbnails: Sequence[tuple[float, NDArray[np.uint8]]]


def choose(
    predictions: Sequence[Prediction], number: int
) -> tuple[list[Prediction], list[Prediction]]:
    """Return the best and the worst predictions, `number` of each, no video twice.

    The worst are those with the largest absolute error. The best are those with the smallest error in each
    of `number` equal chunks of the videos in the order of their MOS: a model that is right about bad videos
    only would otherwise seem right about all. A video that is in the test sets of several splits enters
    with its largest error among the worst, and with its smallest among the best.
    """

    def error(row: Prediction) -> tuple[float, int, str]:
        return abs(row.score - row.mos), row.split, row.video

    largest = {row.video: row for row in sorted(predictions, key=error)}
    worst = sorted(largest.values(), key=error, reverse=True)[:number]
    chosen = {row.video for row in worst}
    others = [row for row in predictions if row.video not in chosen]
    smallest = {row.video: row for row in sorted(others, key=error, reverse=True)}
    by_mos = sorted(smallest.values(), key=lambda row: (row.mos, row.video))
    chunks = [
        by_mos[i * len(by_mos) // number : (i + 1) * len(by_mos) // number] for i in range(number)
    ]
    return [min(chunk, key=error) for chunk in chunks if chunk], worst
