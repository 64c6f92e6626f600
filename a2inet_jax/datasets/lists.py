"""The videos that files, folders and CSV files name."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from a2inet_jax.datasets import separated
from a2inet_jax.datasets.number import parse_number, parse_whole
from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.video.raw_format import RawFormat

# Files of other names are taken when they are named themselves, not when their folder is.
SUFFIXES = frozenset(
    {
        ".3gp",
        ".asf",
        ".avi",
        ".flv",
        ".m2ts",
        ".m4v",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mts",
    }
    | {".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"}
)
_RAW_COLUMNS: dict[str, Callable[[str], Any]] = {
    "width": parse_whole,
    "height": parse_whole,
    "pixel_format": str,
    "frame_rate": parse_number,
}


def videos(arguments: Sequence[Path]) -> list[VideoFile]:
    """The videos that files, folders and CSV files name, in the order given.

    A folder gives its videos at any depth, links followed, sorted; a CSV file the paths of its column `path`,
    relative to its own folder. Columns `width` and `height` (`pixel_format` and `frame_rate` as well, if
    need be) tell how frames lie in a file without a header; they are empty for other files, or passed over
    where the suffix is one of `SUFFIXES`. The id of a video is its path as its folder or CSV file has it, or
    its file's name.

    Raises:
      ValueError: a folder has no videos, or a CSV file no column `path` or no rows, or a cell in it that
        can't be read.
    """
    found: list[VideoFile] = []
    for argument in arguments:
        if argument.is_dir():
            here = sorted(_found(argument))
            if not here:
                raise ValueError(f"{argument} has no videos ({' '.join(sorted(SUFFIXES))})")
            found += [VideoFile(path.relative_to(argument).as_posix(), path) for path in here]
        elif argument.suffix.lower() == ".csv":
            found += [video_file(argument, line, row) for line, row in rows(argument)]
        else:
            found.append(VideoFile(argument.name, argument))
    return found


def check_ids(videos: Sequence[VideoFile]) -> None:
    """Refuse two videos with one id: their features would be one file.

    Raises:
      ValueError: names the two.
    """
    seen: dict[str, VideoFile] = {}
    for video in videos:
        other = seen.setdefault(video.video_id, video)
        if other is not video:
            raise ValueError(
                f"{other.path} and {video.path} are both called {video.video_id!r}: name each of them "
                "once, or a folder that holds both"
            )


def walk(
    folder: Path, on_error: Callable[[OSError], None] | None = None
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """All folders in a folder and itself, links followed, each once: links may go in circles.

    Args:
      folder: where to begin.
      on_error: called where a folder can't be read; without it, such a folder is passed over.

    Returns:
      For each its path and the names of its folders and of its files. Folders that the caller takes out of
      the list are not gone into.
    """
    seen = set()
    for root, folders, names in os.walk(folder, onerror=on_error, followlinks=True):
        status = os.stat(root)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        yield Path(root), folders, names


def _found(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> NoReturn:
        raise error

    for root, _, names in walk(folder, refuse):
        yield from (root / name for name in names if Path(name).suffix.lower() in SUFFIXES)


def rows(file: Path) -> list[tuple[int, dict[str, str]]]:
    """The rows of a CSV file in UTF-8 that has a column `path`.

    Blanks around cells don't count, nor does the case of the columns' names.

    Returns:
      The line's number and the cells by column, in lower case, for each; at least one row. A cell that its
      row lacks is empty.

    Raises:
      ValueError: it is not such a file, has a column twice, or a row with more cells than the header.
    """
    lines = separated.lines(file)
    header = [name.lower() for name in lines[0][1]] if lines else []
    if "path" not in header or len(lines) < 2:
        has = f"; its columns are {', '.join(filter(None, header))}" if header else ""
        raise ValueError(
            f"{file}: needs a header line with a column `path`, and a line a video{has}"
        )
    if twice := [name for name, times in Counter(header).items() if name and times > 1]:
        raise ValueError(f"{file}: line {lines[0][0]} has the column `{twice[0]}` more than once")
    lacking = [""] * len(header)
    return [(line, dict(zip(header, cells + lacking))) for line, cells in lines[1:]]


def video_file(file: Path, line: int, row: dict[str, str]) -> VideoFile:
    """The video of one of a CSV file's `rows`; ValueError names file and line if a cell can't be read."""
    if not row["path"]:
        raise ValueError(f"{file}: line {line} has no path")
    raw_columns = {} if Path(row["path"]).suffix.lower() in SUFFIXES else _RAW_COLUMNS
    try:
        given = {key: read(row[key]) for key, read in raw_columns.items() if row.get(key)}
        if given and not {"width", "height"} <= given.keys():
            raise ValueError("width and height of a raw video go together")
        raw = RawFormat(**given) if given else None
    except ValueError as error:
        raise ValueError(f"{file}: line {line}: {error}") from None
    return VideoFile(row["path"], file.parent / row["path"], raw=raw)
