"""A data set of one's own: a CSV file of paths and labels, or a folder that holds one."""

import os
from pathlib import Path

from a2inet_jax.datasets import lists
from a2inet_jax.datasets.number import parse_number
from a2inet_jax.datasets.video import Video

LISTING = "labels.csv"


def read(path: Path) -> list[Video]:
    """The labelled videos that a CSV file lists; whether they are there is not looked at.

    Columns are `path` (relative to the file's folder) and `mos`; if need be, `reference_id` (what the video
    shows; videos of one content share it), and those of raw video that `files` takes.

    Args:
      path: of the CSV file, or of a folder that holds `labels.csv`, or no other CSV file than the one.

    Returns:
      The videos in the file's order. A video's id is its path as the file has it; without a reference id,
      it is its own content.

    Raises:
      FileNotFoundError: there is no such file, or none in the folder.
      ValueError: the list is not sound; names the file and the line.
    """
    file = _listing(path)
    rows = lists.rows(file)
    if "mos" not in rows[0][1]:
        raise ValueError(f"{file}: needs a column `mos`; its columns are {', '.join(rows[0][1])}")
    videos = []
    lines: dict[str, int] = {}
    for line, row in rows:
        found = lists.video_file(file, line, row)
        try:
            real = os.path.realpath(found.path)
        except ValueError:
            raise ValueError(
                f"{file}: line {line}: {found.video_id!r} is not the path of a file"
            ) from None
        before = lines.setdefault(real, line)
        if before != line:
            raise ValueError(f"{file}: lines {before} and {line} both name {found.video_id}")
        content = row.get("reference_id") or found.video_id
        mos = _mos(file, line, row["mos"])
        videos.append(Video(found.video_id, found.path, mos, content, raw=found.raw))
    if len({video.mos for video in videos}) == 1:
        raise ValueError(
            f"{file}: every `mos` is {videos[0].mos:g}: labels must differ for there to be anything to learn"
        )
    return videos


def _listing(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: name a CSV file, or a folder with one")
    if path.is_file():
        return path
    if (path / LISTING).is_file():
        return path / LISTING
    found = sorted(each for each in path.iterdir() if each.suffix.lower() == ".csv")
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(each.name for each in found[:3])
        raise ValueError(
            f"{path} has {len(found)} CSV files ({names}{', ...' if len(found) > 3 else ''}): name "
            f"the one with the labels, or call it {LISTING}"
        )
    raise FileNotFoundError(f"{path} has no CSV file: one with columns path and mos is needed")


def _mos(file: Path, line: int, cell: str) -> float:
    try:
        return parse_number(cell)
    except ValueError:
        raise ValueError(f"{file}: line {line}: the mos must be a number, is {cell!r}") from None
