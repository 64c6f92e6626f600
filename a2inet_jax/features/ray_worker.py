"""A Ray actor that extracts batches of videos, and reports the result of each video."""

import pickle
import socket
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.errors import A2INetError
from a2inet_jax.features import extract
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.in_flight import MAX_DEATHS, InFlightMarkers
from a2inet_jax.features.recipe import Recipe
from a2inet_jax.features.store import Store


class Worker:
    """An actor that extracts batches of videos, and returns one row of results for each video.

    Errors are returned in a row too, because an exception would end the job with pages of Ray's output.
    """

    def __init__(
        self,
        make: Callable[[], Extractor],
        folder: Path,
        recipe: Recipe,
        markers_folder: Path,
        num_decoders: int,
        timeout_s: float,
    ) -> None:
        """Keep the arguments. The extractor is made with the first batch, which also reports its errors."""
        self._make = make
        self._folder = folder
        self._recipe = recipe
        self._markers = InFlightMarkers(markers_folder)
        self._num_decoders = num_decoders
        self._timeout_s = timeout_s
        self._opened: tuple[Extractor, Store] | None = None

    def __call__(self, batch: Mapping[str, np.ndarray]) -> dict[str, list[Any]]:
        """Extract the pickled videos of a batch.

        Returns:
            Columns `video_id`, `frames`, `reason` (of a failure), `error` and `trace` (of an error that
            is no fault of a video).
        """
        videos = [pickle.loads(video) for video in batch["video"]]
        try:
            rows = self._extract_batch(videos)
        except Exception as error:
            text = str(error) or type(error).__name__
            # Any other error is a bug, whose text alone would say little.
            if not isinstance(error, A2INetError | OSError):
                text = f"{type(error).__name__}: {text}"
            message = f"{text} (worker on {socket.gethostname()})"
            rows = [_row(videos[0].video_id, error=message, trace=traceback.format_exc())]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def _extract_batch(self, videos: Sequence[VideoFile]) -> list[dict[str, Any]]:
        if self._opened is None:
            self._opened = self._make(), Store(self._folder, self._recipe)
        _, store = self._opened
        lacking = set(store.missing(video.video_id for video in videos))
        deaths = {v.video_id: self._markers.deaths(v.video_id) for v in videos}
        # A worker did not die of a video that it stored.
        harmless = [v for v in videos if not deaths[v.video_id] or v.video_id not in lacking]
        rows = self._extract(harmless, self._num_decoders)
        for video in videos:
            if video in harmless:
                continue
            if deaths[video.video_id] < MAX_DEATHS:
                # Alone, so that the blame is clear if this worker dies too.
                rows += self._extract([video], 1)
            else:
                reason = f"took {MAX_DEATHS} workers down, or was in flight when they were lost"
                rows.append(_row(video.video_id, reason=reason))
        return rows

    def _extract(self, videos: Sequence[VideoFile], num_decoders: int) -> list[dict[str, Any]]:
        if not videos:
            return []
        assert self._opened is not None
        extractor, store = self._opened
        video_ids = [video.video_id for video in videos]
        self._markers.begin(video_ids)
        try:
            work = extract.extract_all(
                videos, extractor, store, lambda *_: None, num_decoders, self._timeout_s
            )
        finally:
            self._markers.end(video_ids)
        reasons = {failure.video_id: failure.reason for failure in work.failures}
        rows = [_row(video_id, reason=reasons.get(video_id, "")) for video_id in video_ids]
        # The frames of all these videos are counted in their first row.
        rows[0]["frames"] = work.frames
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
