"""The videos that files, folders and CSV files name."""

import csv
from collections.abc import Sequence
from pathlib import Path

from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.video.raw import RawFormat

# Files of other names are taken when they are named themselves, not when their folder is.
SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv"}
    | {".ts", ".webm", ".wmv"}
)
_RAW_COLUMNS = {"width": int, "height": int, "pixel_format": str, "frame_rate": float}


def videos(arguments: Sequence[Path]) -> list[VideoFile]:
    """The videos that files, folders and CSV files name, in the order given.

    A folder gives its videos at any depth, sorted; a CSV file the paths of its column `path`, relative to the
    file's own folder. Columns `width` and `height` (`pixel_format` and `frame_rate` as well, if need be) tell
    how frames lie in a file without a header; they are left empty for other files. The id of a video is its
    path as its folder or CSV file has it, or its file's name.

    Raises:
      ValueError: a folder has no videos, or a CSV file no column `path` or no rows, or a cell in it that
        can't be read.
    """
    found: list[VideoFile] = []
    for argument in arguments:
        if argument.is_dir():
            here = sorted(p for p in argument.rglob("*") if p.suffix.lower() in SUFFIXES)
            if not here:
                raise ValueError(f"{argument} has no videos ({' '.join(sorted(SUFFIXES))})")
            found += [VideoFile(path.relative_to(argument).as_posix(), path) for path in here]
        elif argument.suffix.lower() == ".csv":
            found += _listed(argument)
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
                f"{other.path} and {video.path} are both called {video.video_id!r}: name a folder that "
                "holds both, or name each of them once"
            )


def _listed(file: Path) -> list[VideoFile]:
    with file.open(newline="", encoding="utf-8-sig") as opened:
        rows = list(csv.DictReader(opened))
    if not rows or "path" not in rows[0]:
        raise ValueError(f"{file}: needs a header line with a column `path`, and a line a video")
    return [_video(file, line, row) for line, row in enumerate(rows, start=2)]


def _video(file: Path, line: int, row: dict[str, str]) -> VideoFile:
    if not row["path"]:
        raise ValueError(f"{file}: line {line} has no path")
    try:
        given = {key: kind(row[key]) for key, kind in _RAW_COLUMNS.items() if row.get(key)}
        if given and not {"width", "height"} <= given.keys():
            raise ValueError("width and height of a raw video go together")
        raw = RawFormat(**given) if given else None
    except ValueError as error:
        raise ValueError(f"{file}: line {line}: {error}") from None
    return VideoFile(row["path"], file.parent / row["path"], raw=raw)
