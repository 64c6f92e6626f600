"""Scores for any video: `a2inet_jax.load(run).score(path)` and `a2inet score`.

Each of a run's split models scores the video. The score is their mean, `spread` their standard deviation.
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from a2inet_jax import atomic, build
from a2inet_jax.checksum import sha256
from a2inet_jax.console import say
from a2inet_jax.datasets import registry
from a2inet_jax.datasets.video import VideoFile, is_there
from a2inet_jax.errors import VideoError
from a2inet_jax.model import ensemble
from a2inet_jax.run import RunFolder
from a2inet_jax.video.raw_format import RawFormat
from a2inet_jax.video.reader import Reader


@dataclass(frozen=True)
class Score:
    """How good a video looks.

    Attributes:
      path: the video.
      score: mean of the split models' scores; higher is better.
      spread: standard deviation (n − 1) of the split models' scores, in the same unit.
      scale: lowest and highest label that the models have seen. A score may lie a little beyond.
      calibrated_to: data set and kind of label whose scale the score is in.
      split_scores: the score of each split's model, [S].
      frame_scores: frame scores, mean over the split models, [T], in the same unit.
      timestamps: seconds from the start of the video to each scored frame, [T].
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
            "scale": [round(x, 6) for x in self.scale],
            "calibrated_to": self.calibrated_to,
            "split_scores": [round(x, 6) for x in self.split_scores.tolist()],
            "frame_scores": [round(x, 6) for x in self.frame_scores.tolist()],
            "timestamps": [round(x, 6) for x in self.timestamps.tolist()],
        }


class Scorer:
    """A trained run, ready to score video after video. Close it, or use it in a `with` statement.

    Attributes:
      calibrated_to: data set and kind of label whose scale the scores are in.
      scale: lowest and highest label that the models have seen.
    """

    def __init__(self, run: Path) -> None:
        """Read a run folder.

        Raises:
          FileNotFoundError: it is not a finished run, or the backbones' weights are not here.
          RunError: the backbones' weights here are not those that the run was trained with.
        """
        folder = RunFolder(run)
        config = folder.config()
        self._models = ensemble.load(run / "model.safetensors")
        self._model = build.build_model(config["model"]["name"], config["model"])
        self._streams = config["model"]["streams"]
        self._extractor = build.open_extractor(config["features"])
        folder.check_recipe(self._extractor.recipe.as_dict())
        self._reader = Reader(config["features"]["timeout"])
        label = registry.label(config["data"]["name"])
        self.calibrated_to = f"{label} of the {config['data']['name']} data set"
        ranges = self._models.label_ranges
        self.scale = float(ranges[:, 0].min()), float(ranges[:, 1].max())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the decoding process."""
        self._reader.close()

    def score(self, path: Path | str, raw: RawFormat | None = None) -> Score:
        """Score one video file. The same content gets the same score, whatever its name.

        Args:
          path: the video.
          raw: how frames lie in a file without a header.

        Raises:
          VideoError: it can't be decoded; names the file and the reason.
        """
        path = Path(path)
        if not is_there(path):
            raise VideoError(path, "there is no such file")
        # Places of patches hang on the content, so that a renamed file keeps its score.
        features = self._extractor.extract(VideoFile(sha256(path), path, raw=raw), self._reader)
        streams = tuple(getattr(features, name) for name in self._streams)
        split_scores, frames_SxT = self._models.scores(self._model, streams)
        return Score(
            path=path,
            score=float(split_scores.mean()),
            spread=float(split_scores.std(ddof=1)) if len(split_scores) > 1 else 0.0,
            scale=self.scale,
            calibrated_to=self.calibrated_to,
            split_scores=split_scores,
            frame_scores=frames_SxT.mean(axis=0),
            timestamps=features.timestamps,
        )


def score_all(videos: Sequence[VideoFile], run: Path, as_json: bool, csv_path: Path | None) -> int:
    """Score videos and print a line for each; a video that fails has its own line, the others go on.

    Args:
      videos: from `datasets.files.videos`.
      run: folder of a trained run.
      as_json: print a JSON object a line instead: `Score.as_json`, or `path` and `error`.
      csv_path: also write `path,score,spread,frames,error` there, whole or not at all.

    Returns:
      The exit code: 1 if a video failed, else 0.
    """
    rows: list[dict[str, Any]] = []
    with Scorer(run) as scorer:
        if not as_json:
            low, high = scorer.scale
            say(f"   score ± spread   in {scorer.calibrated_to}: {low:.1f} to {high:.1f}")
        for video in videos:
            path = video.path
            try:
                scored = scorer.score(path, video.raw)
            except (VideoError, OSError) as error:
                reason = error.reason if isinstance(error, VideoError) else str(error)
                rows.append({"path": str(path), "error": reason})
                line = f"{'failed':>8}           {path}: {reason}"
                shown: dict[str, Any] = rows[-1]
            else:
                digits = {"score": f"{scored.score:.4f}", "spread": f"{scored.spread:.4f}"}
                rows.append({"path": str(path), **digits, "frames": len(scored.timestamps)})
                line = f"{scored.score:8.2f} ± {scored.spread:5.2f}   {path}"
                shown = scored.as_json()
            if as_json:
                print(json.dumps(shown), flush=True)
            else:
                say(line)
    if csv_path:
        _write_csv(csv_path, rows)
    return 1 if any("error" in row for row in rows) else 0


def _write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    text = io.StringIO()
    table = csv.DictWriter(
        text, ["path", "score", "spread", "frames", "error"], lineterminator="\n"
    )
    table.writeheader()
    table.writerows(rows)
    atomic.write(path, text.getvalue().encode("utf-8", "surrogateescape"))
