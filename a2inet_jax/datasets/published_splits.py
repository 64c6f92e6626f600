"""Published splits: permutations of the numbers in a list of videos, cut 60/20/20 in order.

VSFA (https://github.com/lidq92/VSFA) and its successors distribute them as `<data set>info.mat`, with
`video_names` and with `index`, each row of which, as MATLAB shows it, is a permutation of 1-based numbers.
Publications use the first ten rows. The same may come as JSON, {"permutations": [[...], ...]}, together with
a CSV list that has the columns `number` and `video`.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from a2inet_jax.config import Data
from a2inet_jax.datasets import label_file
from a2inet_jax.datasets.lists import SUFFIXES
from a2inet_jax.datasets.splits import Split
from a2inet_jax.datasets.video import Video
from a2inet_jax.errors import ConfigError, DataError
from a2inet_jax.video.raw import HEADERLESS_SUFFIXES

_NUM_SPLITS = 10


@dataclass(frozen=True)
class PublishedSplits:
    """Published splits, with the data set's video ids, and how the two lists of videos differ."""

    splits: list[Split]
    unknown: list[str]  # names in the published list that match no video of the data set, sorted
    unused: list[
        str
    ]  # ids in the data set that match no published name, so that no subset has them, sorted


def read(
    file: Path,
    listing: Path | None,
    videos: Sequence[Video],
    allow_missing: bool = Data.allow_missing,
) -> PublishedSplits:
    """Read published splits, at most the first ten.

    Args:
        file: `*info.mat`, or JSON.
        listing: The CSV list that the numbers of a JSON file refer to; None for `*info.mat`, which has its
            own list.
        videos: All labelled videos of the data set.
        allow_missing: Leave out videos that the data set does not have, instead of refusing the splits.

    Raises:
        FileNotFoundError: A file does not exist.
        ConfigError: The CSV list is needed, or not needed.
        DataError: A file cannot be read, has no splits or other numbers than those of the list, or names a
            video twice or one that the data set does not have.
    """
    # Read names and permutations.
    for each in (file, listing):
        if each and not each.is_file():
            raise FileNotFoundError(f"{each} does not exist")
    if file.suffix.lower() == ".mat":
        if listing:
            raise ConfigError(f"{file} has its own list of videos: leave {listing} out")
        names, permutations = _read_mat(file)
    else:
        if not listing:
            raise ConfigError(f"{file} has only numbers: also name the CSV list that they refer to")
        names, permutations = _read_list(listing), _read_json(file)

    # Check the permutations that are used.
    permutations = permutations[:_NUM_SPLITS]
    if not permutations:
        raise DataError(f"{file} has no splits")
    for number, permutation in enumerate(permutations, start=1):
        if sorted(permutation) != sorted(names):
            raise DataError(
                f"{file}: split {number} is not a permutation of the list's {len(names)} videos"
            )

    # Match names with the data set's videos.
    ids = _match_ids(listing or file, names, videos)
    unknown = sorted(name for number, name in names.items() if number not in ids)
    if unknown and not allow_missing:
        first = ", ".join(unknown[:3]) + (", ..." if len(unknown) > 3 else "")
        raise DataError(
            f"{listing or file}: {len(unknown)} of {len(names)} videos are not in the data set: {first}; "
            "--config.data.allow_missing=True leaves them out"
        )
    splits = [_cut(permutation, ids) for permutation in permutations]
    if not all(split.train and split.validation and split.test for split in splits):
        raise DataError(f"{listing or file}: too few of its videos are in the data set")
    unused = sorted({video.video_id for video in videos} - set(ids.values()))
    return PublishedSplits(splits, unknown, unused)


def _cut(permutation: Sequence[int], ids: Mapping[int, str]) -> Split:
    # Rounded as in the published code: 1 − 0.2 − 0.2 is a little above 0.6, so that 721 of 1,200 videos are
    # for training.
    train_end, validation_end = (
        math.ceil(each * len(permutation)) for each in (1 - 0.2 - 0.2, 1 - 0.2)
    )
    subsets = (
        permutation[:train_end],
        permutation[train_end:validation_end],
        permutation[validation_end:],
    )
    return Split(*(tuple(sorted(ids[n] for n in subset if n in ids)) for subset in subsets))


def _read_mat(file: Path) -> tuple[dict[int, str], list[list[int]]]:
    """Return the names by number, and the permutations."""
    variables = label_file.read_mat(file)
    video_names, index = (
        label_file.mat_list(file, variables, key) for key in ("video_names", "index")
    )
    if not video_names or len(index) % len(video_names):
        raise DataError(f"{file}: index does not fit its {len(video_names)} video_names")
    # Some lists have names that are numbers.
    names = {
        number: f"{name:.0f}" if isinstance(name, float) else str(name)
        for number, name in enumerate(video_names, 1)
    }
    return names, np.reshape(index, (len(video_names), -1)).T.astype(int).tolist()


def _read_json(file: Path) -> list[list[int]]:
    try:
        return [[int(n) for n in row] for row in json.loads(file.read_text())["permutations"]]
    except (ValueError, KeyError, TypeError):
        raise DataError(
            f'{file} is not a JSON file {{"permutations": [[1, 2, ...], ...]}}'
        ) from None


def _read_list(file: Path) -> dict[int, str]:
    names: dict[int, str] = {}
    for row in label_file.read_rows(file):
        number = int(row.number_in("number"))
        if names.setdefault(number, row.text("video")) != row.text("video"):
            raise row.error(f"an earlier row gives the number {number} to another video")
    return names


def _match_ids(file: Path, names: Mapping[int, str], videos: Sequence[Video]) -> dict[int, str]:
    """Return the video id for each number whose name matches a video of the data set."""
    known: dict[str, str | None] = {}
    for video in videos:
        stem = _spellings(video.video_id)[1]
        # Files of one name in two folders cannot be distinguished by it.
        known[stem] = None if stem in known else video.video_id
    known |= {_spellings(video.video_id)[0]: video.video_id for video in videos}
    ids: dict[int, str] = {}
    names_by_id: dict[str, str] = {}
    for number, name in names.items():
        video_id = next((known[each] for each in _spellings(name) if each in known), None)
        if video_id is None:
            continue
        if other := names_by_id.get(video_id):
            raise DataError(f"{file}: {other} and {name} are both the video {video_id}")
        ids[number] = video_id
        names_by_id[video_id] = name
    return ids


def _spellings(name: str) -> list[str]:
    """Return the spellings of a video's name in different distributions, beginning with path and stem.

    Case, suffix and folders differ between them.
    """
    suffixes = "|".join(map(re.escape, (*SUFFIXES, *HEADERLESS_SUFFIXES)))
    path = re.sub(rf"({suffixes})$", "", name.strip().replace("\\", "/").lower())
    stem = path.rsplit("/", 1)[-1]
    # Copies of YouTube-UGC have their encoding in the name; KoNViD-1k's names became plain numbers.
    number = stem.split("_")[0]
    return [path, stem, stem.split("_crf_")[0], *([number] if number.isdigit() else [])]
