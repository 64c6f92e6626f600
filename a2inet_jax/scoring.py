"""Scores for any video: `a2inet_jax.load(run).score(path)` and `a2inet score`.

A run's ten split models each score the video; the score is their mean, and `spread` their standard deviation.
"""

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from rich.table import Table

from a2inet_jax.console import console, progress
from a2inet_jax.features.extract import Extractor
from a2inet_jax.model import ensemble
from a2inet_jax.package_files import sha256
from a2inet_jax.video.decode import VideoError

VIDEO_SUFFIXES = frozenset(
    ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .ogv .ts .webm .wmv".split()
)


@dataclass(frozen=True)
class Score:
    """How good a video looks.

    Attributes:
      path: the video.
      score: mean of the split models' scores; higher is better.
      spread: standard deviation (n − 1) of the split models' scores, in the same unit.
      scale: lowest and highest label that the models were trained on. Scores may go a little beyond.
      calibrated_to: the data set and the kind of label whose scale the score is in.
      split_scores: score of each split's model, [S].
      frame_scores: mean frame score over the split models, [T], in the same unit.
      timestamps: time of each scored frame from the start, seconds, [T].
    """

    path: Path
    score: float
    spread: float
    scale: tuple[float, float]
    calibrated_to: str
    split_scores: np.ndarray
    frame_scores: np.ndarray
    timestamps: np.ndarray

    def as_json(self) -> dict[str, Any]:
        """The same as plain values, numbers rounded to six decimals."""
        return {
            "path": str(self.path),
            "score": round(self.score, 6),
            "spread": round(self.spread, 6),
            "scale": list(self.scale),
            "calibrated_to": self.calibrated_to,
            "split_scores": [round(x, 6) for x in self.split_scores.tolist()],
            "frame_scores": [round(x, 6) for x in self.frame_scores.tolist()],
            "timestamps": [round(x, 6) for x in self.timestamps.tolist()],
        }
