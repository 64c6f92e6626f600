"""The files of a folder into which somebody unpacked a data set, wherever in it they ended up."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from a2inet_jax.datasets.lists import SUFFIXES, walk
from a2inet_jax.video.raw import HEADERLESS


class Folder:
    """A folder and all files in it, at any depth, links followed.

    Attributes:
      path: the folder, absolute.
      files: paths from it with "/", shallow ones first, then sorted. What lies in folders that start with a
        dot, such as a waste bin, is not among them.
    """

    def __init__(self, path: Path) -> None:
        """Look through it."""
        self.path = path.absolute()
        found = []
        for root, folders, names in walk(self.path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            here = root.relative_to(self.path)
            # A link to nothing is a file that is missing.
            found += [(here / name).as_posix() for name in names if (root / name).is_file()]
        self.files = sorted(found, key=lambda file: (file.count("/"), file))

    def first(self, names: Sequence[str]) -> Path | None:
        """The file of the first of these names that is there, whatever its case and depth."""
        by_name = {PurePosixPath(file).name.lower(): file for file in reversed(self.files)}
        for name in names:
            if file := by_name.get(name.lower()):
                return self.path / file
        return None

    def choose(self, files: Sequence[str], expected: str) -> str | None:
        """Of files that all claim to be one video, the only one, or the only one that lies as is expected.

        Args:
          files: paths from the folder.
          expected: the path, or its end: a distribution may have been unpacked into a folder of its own.

        Raises:
          ValueError: there are several, and none or several of them lie so.
        """
        if len(files) < 2:
            return files[0] if files else None
        wanted = expected.lower()
        exact = [file for file in files if file.lower() == wanted]
        found = exact or [file for file in files if file.lower().endswith(f"/{wanted}")]
        if len(found) == 1:
            return found[0]
        raise ValueError(
            f"{self.path} has {len(files)} files for one video: {' and '.join(files)}. "
            f"Keep one of them, or have the right one at {self.path / expected}"
        )


def stem(name: str) -> str:
    """Last part of a path without the suffix of a video; other dots are part of the name."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.stem if path.suffix.lower() in {*SUFFIXES, *HEADERLESS} else path.name
