"""Videos named by files, folders and CSV lists; a CSV list with labels is a custom data set."""

import csv
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from a2inet_jax.datasets.video import Video, VideoFile
from a2inet_jax.errors import DataError
from a2inet_jax.video.raw import RawFormat

# Files with these suffixes are taken from a folder; others only when they are named themselves.
SUFFIXES = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"}
    | {".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"}
)
# The list of a folder that has several CSV files.
DEFAULT_LIST = "labels.csv"


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


def read_labelled(path: Path) -> list[Video]:
    """Read the labelled videos of a CSV list; the video files need not exist.

    The list has the columns `path` (relative to the list's folder) and `mos`, and optionally `reference_id`
    (the content; videos of one content share it), `distortion`, and the columns for raw video of
    `find_videos`. A video's id is its path as written in the list, and also its content where there is no
    reference id. In place of the list, `path` may be a folder with a `labels.csv` or exactly one CSV file.

    Raises:
        FileNotFoundError: There is no such file, or no list in the folder.
        DataError: The list is not sound; names the file and the line.
    """
    file = _find_list(path)
    rows = read_rows(file)
    columns = rows[0][1]
    if "mos" not in columns:
        raise DataError(f"{file} needs a column `mos`; its columns are {', '.join(columns)}")
    videos = []
    lines_by_path: dict[str, int] = {}
    for line, row in rows:
        found = parse_video(file, line, row)
        name, cell = found.video_id, row["mos"]
        # One file under two names would be two videos, which a split could separate.
        try:
            real_path = os.path.realpath(found.path)
        except ValueError:
            raise DataError(f"{file}: line {line}: {name!r} is not the path of a file") from None
        earlier = lines_by_path.setdefault(real_path, line)
        if earlier != line:
            raise DataError(f"{file}: lines {earlier} and {line} both name {name}")
        try:
            mos = parse_number(cell)
        except ValueError:
            raise DataError(f"{file}: line {line}: the mos must be a number, is {cell!r}") from None
        content, distortion = row.get("reference_id") or name, row.get("distortion", "")
        videos.append(Video(name, found.path, mos, content, raw=found.raw, distortion=distortion))
    if len({video.mos for video in videos}) == 1:
        raise DataError(
            f"{file}: every `mos` is {videos[0].mos:g}: labels must differ for there to be anything to learn"
        )
    return videos


def check_ids(videos: Sequence[VideoFile]) -> None:
    """Raise DataError if two videos share an id: their features would be one file."""
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
    """Yield path, folder names and file names as `os.walk` does, each folder once even if links form a cycle.

    `on_error` is called where a folder cannot be read; without it, such folders are skipped.
    """
    seen = set()
    for root, folders, names in os.walk(folder, onerror=on_error, followlinks=True):
        status = os.stat(root)
        if (key := (status.st_dev, status.st_ino)) in seen:
            folders.clear()
            continue
        seen.add(key)
        yield Path(root), folders, names


def read_rows(file: Path) -> list[tuple[int, dict[str, str]]]:
    """Read the rows of a CSV list in UTF-8 that has a column `path`.

    Blanks around cells and the case of column names are ignored.

    Returns:
        Line number and cells by lower-case column name, at least one row. Cells that a row lacks are "".

    Raises:
        DataError: The file is no such list, repeats a column, or has a row with more cells than the header.
    """
    lines = read_cells(file)
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


def read_cells(file: Path, replace_undecodable: bool = False) -> list[tuple[int, list[str]]]:
    """Read the non-empty lines of a file in UTF-8; the first may be a header.

    The separator is the one that occurs most often in the first line. Blanks around cells are stripped.
    `replace_undecodable` replaces characters of another encoding instead of refusing the file; it is for
    files in which only cells that nobody reads can have such characters.

    Returns:
        Line number, from 1, and cells of each line.

    Raises:
        DataError: The file has another encoding, a quote in it is never closed, or a line has more cells
            than the first.
    """
    try:
        errors = "replace" if replace_undecodable else "strict"
        with file.open(newline="", encoding="utf-8-sig", errors=errors) as opened:
            first = opened.readline()
            if "\0" in first:
                raise csv.Error("it has zero bytes, as UTF-16 does")
            opened.seek(0)
            separator = max(",;\t", key=first.count)
            reader = csv.reader(opened, delimiter=separator, skipinitialspace=True, strict=True)
            found = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{file} is not a CSV file in UTF-8 ({error})") from None
    found = [(number, cells) for number, cells in found if any(cells)]
    width = len(found[0][1]) if found else 0
    if found and separator == ",":
        # A decimal comma without quotes may push a cell under a column that has no name.
        width = max(column for column, name in enumerate(found[0][1], start=1) if name)
    for number, cells in found[1:]:
        if any(cells[width:]):
            raise DataError(
                f"{file}: line {number} has {len(cells)} cells, but the first line has {width}: put a cell "
                f"that contains {separator!r} in quotes"
            )
    return found


def parse_number(cell: str) -> float:
    """Return the finite number in a cell; a decimal comma is read as a point.

    Raises:
        ValueError: The cell holds something else, such as 1_000, which Python would take for a number.
    """
    try:
        value = math.nan if "_" in cell else float(cell.replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{cell!r} is not a number")
    return value


def parse_whole(cell: str) -> int:
    """Return the whole number in a cell; ValueError if it holds something else."""
    value = parse_number(cell)
    if not value.is_integer():
        raise ValueError(f"{cell!r} is not a whole number")
    return int(value)


_RAW_COLUMNS: dict[str, Callable[[str], Any]] = {
    "width": parse_whole,
    "height": parse_whole,
    "pixel_format": str,
    "frame_rate": parse_number,
}


def parse_video(file: Path, line: int, row: dict[str, str]) -> VideoFile:
    """Return the video that a row of a CSV list names; DataError if a cell cannot be read."""
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


def _video_paths(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> NoReturn:
        raise error

    for root, _, names in walk(folder, refuse):
        yield from (root / name for name in names if Path(name).suffix.lower() in SUFFIXES)


def _find_list(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: name a CSV file, or a folder with one")
    if path.is_file():
        return path
    if (path / DEFAULT_LIST).is_file():
        return path / DEFAULT_LIST
    found = sorted(each for each in path.iterdir() if each.suffix.lower() == ".csv")
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(each.name for each in found[:3])
        raise DataError(
            f"{path} has {len(found)} CSV files ({names}{', ...' if len(found) > 3 else ''}): name "
            f"the one with the labels, or call it {DEFAULT_LIST}"
        )
    raise FileNotFoundError(f"{path} has no CSV file: one with columns path and mos is needed")
