"""Videos named by files, folders and CSV lists."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from a2inet_jax.datasets import delimited
from a2inet_jax.datasets.number import parse_number, parse_whole
from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.errors import DataError
from a2inet_jax.video.raw_format import RawFormat

# Files with these suffixes are taken from a folder; others only when they are named themselves.
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
        ".mxf",
        ".ogv",
        ".ts",
        ".vob",
        ".webm",
        ".wmv",
    }
)
_RAW_COLUMNS: dict[str, Callable[[str], Any]] = {
    "width": parse_whole,
    "height": parse_whole,
    "pixel_format": str,
    "frame_rate": parse_number,
}


def find_videos(arguments: Sequence[Path]) -> list[VideoFile]:
    """Return the videos that files, folders and CSV lists name, in the order given.

    A folder contributes its videos at any depth, sorted, with links followed. A CSV list contributes the
    paths of its column `path`, relative to the list's own folder. Its columns `width` and `height`, and
    optionally `pixel_format` and `frame_rate`, give the layout of a file without a header; they may be empty
    for other files, and are ignored where the suffix is one of `SUFFIXES`.

    A video's id is its path relative to the folder, its path as written in the list, or its file name.

    Raises:
        DataError: A folder has no videos, or a list has no column `path`, no rows or an unreadable cell.
    """
    found: list[VideoFile] = []
    for argument in arguments:
        if argument.is_dir():
            paths = sorted(_video_paths(argument))
            if not paths:
                raise DataError(f"{argument} has no videos ({' '.join(sorted(SUFFIXES))})")
            found += [VideoFile(path.relative_to(argument).as_posix(), path) for path in paths]
        elif argument.suffix.lower() == ".csv":
            found += [parse_video(argument, line, row) for line, row in read_rows(argument)]
        else:
            found.append(VideoFile(argument.name, argument))
    return found


def check_ids(videos: Sequence[VideoFile]) -> None:
    """Refuse two videos with one id: their features would be one file.

    Raises:
        DataError: Two videos share an id; names both.
    """
    seen: dict[str, VideoFile] = {}
    for video in videos:
        other = seen.setdefault(video.video_id, video)
        if other is not video:
            raise DataError(
                f"{other.path} and {video.path} are both called {video.video_id!r}: name each of them "
                "once, or a folder that contains both"
            )


def walk(
    folder: Path, on_error: Callable[[OSError], None] | None = None
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield a folder and all folders in it, as `os.walk` does, each once even if links form a cycle.

    `on_error` is called where a folder cannot be read; without it, such folders are skipped.

    Yields:
        Path, names of its folders, names of its files. Folders that the caller removes from the list are
        not entered.
    """
    seen = set()
    for root, folders, names in os.walk(folder, onerror=on_error, followlinks=True):
        status = os.stat(root)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        yield Path(root), folders, names


def _video_paths(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> NoReturn:
        raise error

    for root, _, names in walk(folder, refuse):
        yield from (root / name for name in names if Path(name).suffix.lower() in SUFFIXES)


def read_rows(file: Path) -> list[tuple[int, dict[str, str]]]:
    """Read the rows of a CSV list in UTF-8 that has a column `path`.

    Blanks around cells and the case of column names are ignored.

    Returns:
        Line number and cells by lower-case column name, at least one row. Cells that a row lacks are "".

    Raises:
        DataError: The file is no such list, repeats a column, or has a row with more cells than the header.
    """
    lines = delimited.lines(file)
    header = [name.lower() for name in lines[0][1]] if lines else []
    if "path" in header and len(lines) < 2:
        raise DataError(f"{file} has a header but no videos: add a line for each")
    if "path" not in header:
        has = f"; its columns are {', '.join(filter(None, header))}" if header else ""
        raise DataError(
            f"{file} needs a header line with a column `path`, and one line for each video{has}"
        )
    if repeated := [name for name, count in Counter(header).items() if name and count > 1]:
        raise DataError(f"{file}: line {lines[0][0]} has the column `{repeated[0]}` more than once")
    padding = [""] * len(header)
    return [(line, dict(zip(header, cells + padding))) for line, cells in lines[1:]]


def parse_video(file: Path, line: int, row: dict[str, str]) -> VideoFile:
    """Return the video that one of the rows of a CSV list names.

    Raises:
        DataError: A cell cannot be read; names the file and the line.
    """
    if not row["path"]:
        raise DataError(f"{file}: line {line} has no path")
    raw_columns = {} if Path(row["path"]).suffix.lower() in SUFFIXES else _RAW_COLUMNS
    try:
        given = {key: parse(row[key]) for key, parse in raw_columns.items() if row.get(key)}
        if given and not {"width", "height"} <= given.keys():
            raise DataError("a raw video needs both its width and its height")
        raw = RawFormat(**given) if given else None
    except ValueError as error:
        raise DataError(f"{file}: line {line}: {error}") from None
    return VideoFile(row["path"], file.parent / row["path"], raw=raw)
