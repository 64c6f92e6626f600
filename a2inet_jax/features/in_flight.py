"""In-flight markers: files that record which videos were being processed when a worker died.

They keep a video that kills its worker from taking down all workers. A worker creates a marker before it
starts a video, and removes it when it is done, whatever the result. A marker that another worker finds is
therefore that of a dead worker. The markers of a job are in a folder of their own, on the disk that the
workers share.
"""

import hashlib
import shutil
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

# A video that was in flight when so many workers died is not tried again.
MAX_DEATHS = 2
_PREFIX = ".begun-"
# A folder without changes for so long is that of a job that was killed.
_ABANDONED_S = 7 * 24 * 3600.0


class InFlightMarkers:
    """The markers of a job: one file for each time that a video was started and not finished."""

    def __init__(self, folder: Path) -> None:
        """Open the markers in a folder that `create` made."""
        self.folder = folder

    @classmethod
    def create(cls, parent: Path) -> "InFlightMarkers":
        """Make a folder for a new job, and remove those that killed jobs left long ago.

        Raises:
            OSError: The folder cannot be made.
        """
        for other in parent.glob(f"{_PREFIX}*"):
            if _idle_s(other) > _ABANDONED_S:
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


def _idle_s(folder: Path) -> float:
    """Return the seconds since a file in the folder was made or removed."""
    try:
        return time.time() - folder.stat().st_mtime
    except OSError:
        return 0.0
