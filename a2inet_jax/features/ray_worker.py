"""A Ray actor that extracts batches of videos, and the markers by which actors learn of each other's death.

An in-flight marker is a file that records that a video was begun. It keeps a video that kills its worker from
taking down all workers. A worker creates a marker before it starts a video, and removes it when it is done,
whatever the result. A marker that another worker finds is therefore that of a dead worker. The markers of a
job are in a folder of their own, on the disk that the workers share.
"""

import contextlib
import hashlib
import pickle
import shutil
import socket
import time
import traceback
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.errors import A2INetError
from a2inet_jax.features import extract
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.recipe import Recipe
from a2inet_jax.features.store import open_stores

# A video that was in flight when so many workers died is not tried again.
MAX_DEATHS = 2
_PREFIX = ".begun-"
# A folder without changes for so long is that of a job that was killed.
_ABANDONED_S = 7 * 24 * 3600.0


@dataclass(frozen=True)
class InFlightMarkers:
    """The markers of a job: one file for each time that a video was started and not finished."""

    folder: Path

    @classmethod
    def create(cls, parent: Path) -> "InFlightMarkers":
        """Make a folder for a new job, and remove those that killed jobs left long ago.

        Raises:
            OSError: The folder cannot be made.
        """
        for other in parent.glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):
                if time.time() - other.stat().st_mtime > _ABANDONED_S:
                    shutil.rmtree(other, ignore_errors=True)
        folder = parent / f"{_PREFIX}{uuid.uuid4().hex}"
        folder.mkdir(parents=True)
        return cls(folder)

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def deaths(self, video_id: str) -> int:
        """Return how many workers died while the video was in flight."""
        return sum(marker.exists() for marker in self._markers(video_id))

    def begin(self, video_ids: Iterable[str]) -> None:
        """Add a marker for each video.

        Raises:
            OSError: The folder cannot be written.
        """
        for video_id in video_ids:
            for marker in self._markers(video_id):
                if not marker.exists():
                    marker.touch()
                    break

    def end(self, video_ids: Iterable[str]) -> None:
        """Remove all markers of these videos."""
        for video_id in video_ids:
            for marker in self._markers(video_id):
                marker.unlink(missing_ok=True)

    def _markers(self, video_id: str) -> list[Path]:
        # Hashed, because an id may be longer than a file name may be.
        name = hashlib.sha256(video_id.encode()).hexdigest()[:32]
        return [self.folder / f"{name}.{number}" for number in range(MAX_DEATHS)]


@dataclass(eq=False)
class Worker:
    """An actor that extracts batches of videos, and returns one row of results for each video.

    The extractor is made with the first batch. Errors, also of that, are returned in a row, because an
    exception would end the job with pages of Ray's output.
    """

    make: Callable[[], Extractor]
    folder: Path
    recipes: Mapping[str, Recipe]
    markers: InFlightMarkers
    num_decoders: int
    timeout_s: float
    _extractor: Extractor | None = field(default=None, init=False)

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
        if self._extractor is None:
            self._extractor = self._make_extractor()
        stores = open_stores(self.folder, self.recipes)
        video_ids = [video.video_id for video in videos]
        lacking = {each for store in stores.values() for each in store.missing(video_ids)}
        deaths = {v.video_id: self.markers.deaths(v.video_id) for v in videos}
        # A worker did not die of a video that it stored.
        harmless = [v for v in videos if not deaths[v.video_id] or v.video_id not in lacking]
        rows = self._extract(harmless, self.num_decoders)
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

    def _make_extractor(self) -> Extractor:
        extractor = self.make()
        for name, recipe in extractor.recipes.items():
            if differing := recipe.differences(self.recipes[name]):
                raise ValueError(f"extractor and store have different recipes: {differing}")
        return extractor

    def _extract(self, videos: Sequence[VideoFile], num_decoders: int) -> list[dict[str, Any]]:
        if not videos:
            return []
        assert self._extractor is not None
        video_ids = [video.video_id for video in videos]
        self.markers.begin(video_ids)
        try:
            work = extract.extract_all(
                videos, self._extractor, self.folder, lambda *_: None, num_decoders, self.timeout_s
            )
        finally:
            self.markers.end(video_ids)
        reasons = {failure.video_id: failure.reason for failure in work.failures}
        rows = [_row(video_id, reason=reasons.get(video_id, "")) for video_id in video_ids]
        # The frames of all these videos are counted in their first row.
        rows[0]["frames"] = work.frames
        return rows


def _row(video_id: str, **more: str) -> dict[str, Any]:
    return {"video_id": video_id, "frames": 0, "reason": "", "error": "", "trace": "", **more}
