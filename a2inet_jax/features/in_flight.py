"""Which videos were under way when a worker died, told by files, so that no video takes all of them down.

Before a worker begins a video it leaves a mark, a file, and takes it away when it is done, whatever the
result. A mark that somebody else finds is of a worker that died. The marks of a job lie in a folder of its
own, on the disk that the workers share.
"""

import hashlib
import shutil
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

# So many workers a video may take down; then it is not tried again.
DEATHS = 2
_PREFIX = ".begun-"
# A folder in which nothing happened for so long is of a job that was killed.
_ABANDONED_S = 7 * 24 * 3600.0


class Quarantine:
    """The marks of a job: a file for each time that a video was begun and not brought to an end."""

    def __init__(self, folder: Path) -> None:
        """Look at the marks in a folder, which `create` made.

        Args:
          folder: of one job.
        """
        self.folder = folder

    @classmethod
    def create(cls, parent: Path) -> "Quarantine":
        """A folder for a new job. Those that killed jobs left behind long ago are removed.

        Raises:
          OSError: there can be none.
        """
        for other in parent.glob(f"{_PREFIX}*"):
            if _age(other) > _ABANDONED_S:
                shutil.rmtree(other, ignore_errors=True)
        folder = parent / f"{_PREFIX}{uuid.uuid4().hex}"
        folder.mkdir(parents=True)
        return cls(folder)

    def remove(self) -> None:
        """Take the folder away."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def deaths(self, video_id: str) -> int:
        """How many times the video was begun without an end: each time its worker has died."""
        return sum(mark.exists() for mark in self._marks(video_id))

    def begin(self, video_ids: Iterable[str]) -> None:
        """Mark videos, once more each.

        Raises:
          OSError: the folder can't be written.
        """
        for video_id in video_ids:
            for mark in self._marks(video_id):
                if not mark.exists():
                    mark.touch()
                    break

    def end(self, video_ids: Iterable[str]) -> None:
        """Take every mark of these videos away."""
        for video_id in video_ids:
            for mark in self._marks(video_id):
                mark.unlink(missing_ok=True)

    def _marks(self, video_id: str) -> list[Path]:
        # An id may be longer than a file's name.
        name = hashlib.sha256(video_id.encode()).hexdigest()[:32]
        return [self.folder / f"{name}.{number}" for number in range(DEATHS)]


def _age(path: Path) -> float:
    """Seconds since something in the folder was made or removed."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
