"""Scores of any video: `a2inet_jax.load(run).score(path)`.

Each of a run's split models scores the video. The score is their mean, `spread` their standard deviation.
`Score.warnings` says what speaks against a score.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from a2inet_jax import build
from a2inet_jax.config import Experiment
from a2inet_jax.datasets import registry
from a2inet_jax.datasets.video import VideoFile, file_exists
from a2inet_jax.errors import VideoError
from a2inet_jax.features.record import VideoFeatures
from a2inet_jax.files import sha256
from a2inet_jax.model import ensemble
from a2inet_jax.run import RunFolder
from a2inet_jax.video.raw import RawFormat
from a2inet_jax.video.reader import Reader

# Values farther than this fraction of the labels' range beyond its ends are no extrapolation to rely on.
_MARGIN = 0.05


@dataclass(frozen=True)
class Score:
    """The quality of a video.

    Attributes:
        path: The video.
        score: Mean of the split models' scores; higher is better.
        spread: Standard deviation (n − 1) of the split models' scores, in the same unit.
        scale: Lowest and highest label that the models have seen. A score may be a little beyond.
        calibrated_to: Data set and kind of label whose scale the score is in.
        split_scores: `[S]` float64, the score of each split's model.
        frame_scores: `[T]` float64, frame scores in the same unit, mean over the split models.
        timestamps: `[T]` float64, seconds from the start of the video to each scored frame.
        trained_on_it: Number of the split models that were trained or validated on this very file,
            whatever its name.
    """

    path: Path
    score: float
    spread: float
    scale: tuple[float, float]
    calibrated_to: str
    split_scores: np.ndarray
    frame_scores: np.ndarray
    timestamps: np.ndarray
    trained_on_it: int = 0

    @property
    def warnings(self) -> list[str]:
        """Why the score says little, in sentences without a full stop; [] if nothing is known against it."""
        found = []
        low, high = self.scale
        if outside(self.score, self.scale):
            found.append(
                f"far outside {low:.1f} to {high:.1f}, the labels' range: unlike what the models have seen"
            )
        if self.trained_on_it:
            found.append(
                f"{self.trained_on_it} of {len(self.split_scores)} models were trained on this very video: "
                "no measure of how they judge others"
            )
        return found

    def as_json(self) -> dict[str, Any]:
        """Return the same as plain values, numbers rounded to six decimals."""
        return {
            "path": str(self.path),
            "score": round(self.score, 6),
            "spread": round(self.spread, 6),
            "scale": [round(x, 6) for x in self.scale],
            "calibrated_to": self.calibrated_to,
            "split_scores": [round(x, 6) for x in self.split_scores.tolist()],
            "frame_scores": [round(x, 6) for x in self.frame_scores.tolist()],
            "timestamps": [round(x, 6) for x in self.timestamps.tolist()],
            "trained_on_it": self.trained_on_it,
            "warnings": self.warnings,
        }


def outside(values: ArrayLike, scale: tuple[float, float]) -> np.ndarray:
    """Return True for values farther than 5 % of the labels' range beyond its ends, in the values' shape.

    Args:
        values: Scores in the unit of the labels.
        scale: Lowest and highest label.
    """
    low, high = scale
    margin = _MARGIN * (high - low)
    return (np.asarray(values) < low - margin) | (np.asarray(values) > high + margin)


class RunExtractor:
    """The networks of a run, for video after video. Close it, or use it in a `with` statement.

    Attributes:
        label: Kind of label of the run's data set.
    """

    def __init__(self, config: Experiment, streams: Sequence[str] | None = None) -> None:
        """Load the networks of the model's streams, or of those given.

        Raises:
            FileNotFoundError: Their weights are not here.
        """
        self._extractor = build.open_extractor(config, streams=streams)
        self._reader = Reader(config.features.timeout_s)
        self.label = registry.label_name(config.data.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the decoding process."""
        self._reader.close()

    def _extract(
        self, path: Path, raw: RawFormat | None, on_frames: Callable[[int, int], None]
    ) -> tuple[str, dict[str, VideoFeatures]]:
        """Return the SHA-256 of a video, and the features of each stream."""
        if not file_exists(path):
            raise VideoError(path, "there is no such file")
        # Positions of patches depend on the content, so that a renamed file keeps its score.
        video = VideoFile(sha256(path), path, raw=raw)
        return video.video_id, self._extractor.extract(video, self._reader, on_frames=on_frames)


class Scorer(RunExtractor):
    """A trained run, ready to score video after video. Close it, or use it in a `with` statement.

    Attributes:
        calibrated_to: Data set and kind of label whose scale the scores are in.
        scale: Lowest and highest label that the models have seen.
    """

    def __init__(self, run: Path) -> None:
        """Read a run folder.

        Raises:
            FileNotFoundError: It is not a finished run, or the backbones' weights are not here.
            RunError: The backbones' weights here are not those that the run was trained with, or its models
                were changed or are not finite.
        """
        folder = RunFolder(run)
        config = folder.config()
        self._models = ensemble.load(run / "model.safetensors")
        self._model = build.build_model(config.model.name, config.model)
        super().__init__(config)
        folder.check_recipe(self._extractor.recipes)
        self.calibrated_to = f"{self.label} of the {config.data.name} data set"
        ranges = self._models.label_ranges
        self.scale = float(ranges[:, 0].min()), float(ranges[:, 1].max())
        self._training_files = folder.training_files()

    def score(
        self,
        path: Path | str,
        raw: RawFormat | None = None,
        on_frames: Callable[[int, int], None] = lambda done, total: None,
    ) -> Score:
        """Score one video file. The same content gets the same score, whatever its name.

        Args:
            raw: The layout of frames in a file without a header.
            on_frames: Called with the number of frames decoded so far and of all.

        Raises:
            VideoError: It cannot be decoded; names the file and the reason.
        """
        path = Path(path)
        digest, features = self._extract(path, raw, on_frames)
        streams = tuple(each.features for each in features.values())
        split_scores, frames_SxT = self._models.scores(self._model, streams)
        return Score(
            path=path,
            score=float(split_scores.mean()),
            spread=float(split_scores.std(ddof=1)) if len(split_scores) > 1 else 0.0,
            scale=self.scale,
            calibrated_to=self.calibrated_to,
            split_scores=split_scores,
            frame_scores=frames_SxT.mean(axis=0),
            timestamps=next(iter(features.values())).timestamps,
            trained_on_it=len(split_scores)
            * sum(digest in known for known in self._training_files)
            // max(len(self._training_files), 1),
        )
