"""An actor of Ray that describes videos, and tells what became of each."""

import pickle
import socket
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.features import extract
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.in_flight import DEATHS, Quarantine
from a2inet_jax.features.recipe import Recipe
from a2inet_jax.features.store import Store


class Worker:
    """An actor: describes batches of videos, and says of each what became of it.

    Whatever happens is told in a row, because an exception would end the job with pages of Ray's.
    """

    def __init__(
        self,
        make: Callable[[], Extractor],
        folder: Path,
        recipe: Recipe,
        begun: Path,
        decoders: int,
        timeout_s: float,
    ) -> None:
        """Nothing is loaded yet: what goes wrong in that is told as well."""
        self._make = make
        self._folder = folder
        self._recipe = recipe
        self._quarantine = Quarantine(begun)
        self._decoders = decoders
        self._timeout_s = timeout_s
        self._opened: tuple[Extractor, Store] | None = None

    def __call__(self, batch: Mapping[str, np.ndarray]) -> dict[str, list[Any]]:
        """Rows of videos to rows of `video_id`, `frames`, `reason` (of a failure), `error`, `trace`."""
        videos = [pickle.loads(video) for video in batch["video"]]
        try:
            rows = self._described(videos)
        except Exception as error:
            text = str(error) or type(error).__name__
            if not isinstance(error, OSError | ValueError | RuntimeError):
                text = f"{type(error).__name__}: {text}"
            told = f"{text} (worker on {socket.gethostname()})"
            rows = [_row(videos[0].video_id, error=told, trace=traceback.format_exc())]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def _described(self, videos: Sequence[VideoFile]) -> list[dict[str, Any]]:
        if self._opened is None:
            self._opened = self._make(), Store(self._folder, self._recipe)
        lacking = set(self._opened[1].missing(video.video_id for video in videos))
        # What a worker stored before it died was not what it died of.
        deaths = {v.video_id: self._quarantine.deaths(v.video_id) for v in videos}
        fresh = [v for v in videos if not deaths[v.video_id] or v.video_id not in lacking]
        rows = self._extracted(fresh, self._decoders)
        for video in videos:
            if video in fresh:
                continue
            if deaths[video.video_id] < DEATHS:
                rows += self._extracted([video], 1)  # alone: if it kills again, it is known
            else:
                reason = f"took {DEATHS} workers down, or was under way when they were lost"
                rows.append(_row(video.video_id, reason=reason))
        return rows

    def _extracted(self, videos: Sequence[VideoFile], decoders: int) -> list[dict[str, Any]]:
        if not videos:
            return []
        assert self._opened is not None
        extractor, store = self._opened
        names = [video.video_id for video in videos]
        self._quarantine.begin(names)
        try:
            work = extract.extract_all(
                videos, extractor, store, lambda *_: None, decoders, self._timeout_s
            )
        finally:
            self._quarantine.end(names)
        reasons = {failure.video_id: failure.reason for failure in work.failures}
        rows = [_row(name, reason=reasons.get(name, "")) for name in names]
        rows[0]["frames"] = work.frames  # of all of them
        return rows


def _row(
    video_id: str, *, frames: int = 0, reason: str = "", error: str = "", trace: str = ""
) -> dict[str, Any]:
    return {
        "video_id": video_id,
        "frames": frames,
        "reason": reason,
        "error": error,
        "trace": trace,
    }
