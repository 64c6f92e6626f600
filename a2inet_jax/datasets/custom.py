"""A custom data set: a CSV list of paths and labels, or a folder that contains one."""

import os
from pathlib import Path

from a2inet_jax.datasets import lists
from a2inet_jax.datasets.number import parse_number
from a2inet_jax.datasets.video import Video
from a2inet_jax.errors import DataError

DEFAULT_LIST = "labels.csv"


def read(path: Path) -> list[Video]:
    """Read the labelled videos of a CSV list; the video files need not exist.

    The list has the columns `path` (relative to the list's folder) and `mos`, and optionally `reference_id`
    (the content; videos of one content share it), `distortion`, and the columns for raw video of
    `lists.find_videos`.

    Args:
        path: The CSV list, or a folder with a `labels.csv` or with exactly one CSV file.

    Returns:
        The videos in the order of the list. A video's id is its path as written in the list, and also its
        content where there is no reference id.

    Raises:
        FileNotFoundError: There is no such file, or no list in the folder.
        DataError: The list is not sound; names the file and the line.
    """
    file = _find_list(path)
    rows = lists.read_rows(file)
    columns = rows[0][1]
    if "mos" not in columns:
        raise DataError(f"{file} needs a column `mos`; its columns are {', '.join(columns)}")
    videos = []
    lines_by_path: dict[str, int] = {}
    for line, row in rows:
        found = lists.parse_video(file, line, row)
        # One file under two names would be two videos, which a split could separate.
        try:
            real_path = os.path.realpath(found.path)
        except ValueError:
            raise DataError(
                f"{file}: line {line}: {found.video_id!r} is not the path of a file"
            ) from None
        earlier = lines_by_path.setdefault(real_path, line)
        if earlier != line:
            raise DataError(f"{file}: lines {earlier} and {line} both name {found.video_id}")
        content = row.get("reference_id") or found.video_id
        mos = _parse_mos(file, line, row["mos"])
        distortion = row.get("distortion", "")
        videos.append(
            Video(found.video_id, found.path, mos, content, raw=found.raw, distortion=distortion)
        )
    if len({video.mos for video in videos}) == 1:
        raise DataError(
            f"{file}: every `mos` is {videos[0].mos:g}: labels must differ for there to be anything to learn"
        )
    return videos


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


def _parse_mos(file: Path, line: int, cell: str) -> float:
    try:
        return parse_number(cell)
    except ValueError:
        raise DataError(f"{file}: line {line}: the mos must be a number, is {cell!r}") from None
