"""Files of a folder into which somebody unpacked a data set, at any depth."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from a2inet_jax.datasets.lists import SUFFIXES, walk
from a2inet_jax.errors import DataError
from a2inet_jax.video.raw import HEADERLESS_SUFFIXES


class Folder:
    """A folder and all files in it at any depth, with links followed.

    Attributes:
        path: The folder, absolute.
        files: Paths relative to it with "/", the least deep first, then sorted. Files in folders whose name
            starts with a dot, such as `.Trash`, are left out.
    """

    def __init__(self, path: Path) -> None:
        """List the files of a folder."""
        self.path = path.absolute()
        found = []
        for root, folders, names in walk(self.path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            relative = root.relative_to(self.path)
            # A broken link counts as a missing file.
            found += [(relative / name).as_posix() for name in names if (root / name).is_file()]
        self.files = sorted(found, key=lambda file: (file.count("/"), file))

    def first(self, names: Sequence[str]) -> Path | None:
        """Return the file with the first of these names that exists, in any case and at any depth."""
        by_name = {PurePosixPath(file).name.lower(): file for file in reversed(self.files)}
        for name in names:
            if file := by_name.get(name.lower()):
                return self.path / file
        return None

    def choose(self, files: Sequence[str], expected: str) -> str | None:
        """Choose the file of a video from all those whose names match it.

        A single file is taken wherever it is. Of several, the one at the expected path is taken, or else the
        only one whose path ends in it: a distribution may have been unpacked into a folder of its own.

        Args:
            files: Paths relative to the folder.
            expected: Path in the distribution.

        Returns:
            The chosen path; None if `files` is empty.

        Raises:
            DataError: There are several files, and it is not clear which one to take.
        """
        if len(files) < 2:
            return files[0] if files else None
        wanted = expected.lower()
        exact = [file for file in files if file.lower() == wanted]
        found = exact or [file for file in files if file.lower().endswith(f"/{wanted}")]
        if len(found) == 1:
            return found[0]
        raise DataError(
            f"{self.path} has {len(files)} files for one video: {' and '.join(files)}. "
            f"Keep one of them, or move the right one to {self.path / expected}"
        )


def stem(name: str) -> str:
    """Return the last component of a path without a video suffix; other dots belong to the name."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.stem if path.suffix.lower() in {*SUFFIXES, *HEADERLESS_SUFFIXES} else path.name
