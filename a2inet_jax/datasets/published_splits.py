"""Splits as others have published them: permutations of a list's numbers, cut 60/20/20 in this order.

VSFA (https://github.com/lidq92/VSFA) and its successors bring them as `<data set>info.mat`: `video_names`,
and `index`, each row of which, as MATLAB sees it, is a permutation of 1-based numbers. Publications use the
first ten. The same comes as JSON, {"permutations": [[...], ...]}, beside a CSV list with columns `number` and
`video`.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from a2inet_jax.datasets import label_file
from a2inet_jax.datasets.lists import SUFFIXES
from a2inet_jax.datasets.splits import Split
from a2inet_jax.datasets.video import Video
from a2inet_jax.video.raw import HEADERLESS

_TEST = _VALIDATION = 0.2
_MOST = 10


@dataclass(frozen=True)
class PublishedSplits:
    """Splits that were read, by the ids of our videos.

    Attributes:
      splits: as published, less what `unknown` names.
      unknown: names in the published list of videos that the data set lacks, sorted.
      unused: ids of videos of the data set that the published list lacks, sorted; they are in no part.
    """

    splits: list[Split]
    unknown: list[str]
    unused: list[str]


def read(
    file: Path,
    listing: Path | None,
    videos: Sequence[Video],
    allow_missing: bool = False,
) -> PublishedSplits:
    """Read published splits, the first ten where there are more.

    Args:
      file: `*info.mat`, or JSON.
      listing: the CSV file that the numbers of a JSON file are of; None for `*info.mat`, which has its own.
      videos: all labelled videos of the data set that the splits are for.
      allow_missing: leave out videos that the data set lacks; without it, they are an error.

    Raises:
      FileNotFoundError: a file is not there.
      ValueError: a file is not such a one, has no splits or other numbers than those of the list, or names
        a video twice or one that the data set lacks.
    """
    for each in (file, listing):
        if each and not each.is_file():
            raise FileNotFoundError(f"{each} does not exist")
    if file.suffix.lower() == ".mat":
        if listing:
            raise ValueError(f"{file} has its own list of videos: leave {listing} out")
        names, permutations = _mat(file)
    else:
        if not listing:
            raise ValueError(f"{file} has only numbers: name the CSV file that they are of as well")
        names, permutations = _list(listing), _json(file)
    permutations = permutations[:_MOST]
    if not permutations:
        raise ValueError(f"{file} has no splits")
    for nth, permutation in enumerate(permutations, start=1):
        if sorted(permutation) != sorted(names):
            raise ValueError(
                f"{file}: split {nth} is not a permutation of the list's {len(names)} videos"
            )
    ids = _ids(listing or file, names, videos)
    unknown = sorted(name for n, name in names.items() if n not in ids)
    if unknown and not allow_missing:
        first = ", ".join(unknown[:3]) + (", ..." if len(unknown) > 3 else "")
        raise ValueError(
            f"{listing or file}: {len(unknown)} of {len(names)} videos are not in the data set: {first}; "
            "--allow_missing leaves them out"
        )
    splits = [_split(permutation, ids) for permutation in permutations]
    if not all(split.train and split.validation and split.test for split in splits):
        raise ValueError(f"{listing or file}: too few of its videos are in the data set")
    unused = sorted({video.video_id for video in videos} - set(ids.values()))
    return PublishedSplits(splits, unknown, unused)


def _split(permutation: Sequence[int], ids: Mapping[int, str]) -> Split:
    # Rounded as in the published code: 1 − 0.2 − 0.2 is a little over 0.6, so that of 1,200 videos 721 are
    # trained on.
    ends = [math.ceil(share * len(permutation)) for share in (1 - _TEST - _VALIDATION, 1 - _TEST)]
    parts = permutation[: ends[0]], permutation[ends[0] : ends[1]], permutation[ends[1] :]
    return Split(*(tuple(sorted(ids[n] for n in part if n in ids)) for part in parts))


def _mat(file: Path) -> tuple[dict[int, str], list[list[int]]]:
    variables = label_file.mat(file)
    found, numbers = (label_file.field(file, variables, key) for key in ("video_names", "index"))
    if not found or not isinstance(numbers, list) or len(numbers) % len(found):
        raise ValueError(f"{file}: index does not fit to its {len(found)} video_names")
    # Some lists have names that are numbers.
    names = {
        n: f"{name:.0f}" if isinstance(name, float) else str(name)
        for n, name in enumerate(found, 1)
    }
    return names, np.reshape(numbers, (len(found), -1)).T.astype(int).tolist()


def _json(file: Path) -> list[list[int]]:
    try:
        found = [[int(n) for n in row] for row in json.loads(file.read_text())["permutations"]]
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f'{file} is not a JSON file {{"permutations": [[1, 2, ...], ...]}}'
        ) from None
    return found


def _list(file: Path) -> dict[int, str]:
    names: dict[int, str] = {}
    for row in label_file.rows(file):
        number = int(row.number_in("number"))
        if names.setdefault(number, row.text("video")) != row.text("video"):
            raise row.error(f"the number {number} was another video's before")
    return names


def _ids(file: Path, names: Mapping[int, str], videos: Sequence[Video]) -> dict[int, str]:
    """Number → id of our video that goes by this name."""
    known: dict[str, str | None] = {}
    for video in videos:
        stem = _spellings(video.video_id)[1]
        # Two folders may have a file of one name, which then tells neither.
        known[stem] = None if stem in known else video.video_id
    known |= {_spellings(video.video_id)[0]: video.video_id for video in videos}
    ids: dict[int, str] = {}
    taken: dict[str, str] = {}
    for number, name in names.items():
        found = next((known[each] for each in _spellings(name) if each in known), None)
        if found is None:
            continue
        if other := taken.get(found):
            raise ValueError(f"{file}: {other} and {name} are both the video {found}")
        ids[number] = found
        taken[found] = name
    return ids


def _spellings(name: str) -> list[str]:
    """What a video may be called by, its path first: case, suffix and folders are not the same everywhere."""
    suffixes = "|".join(re.escape(suffix) for suffix in sorted({*SUFFIXES, *HEADERLESS}))
    path = re.sub(rf"({suffixes})$", "", name.strip().replace("\\", "/").lower())
    stem = path.rsplit("/", 1)[-1]
    # YouTube-UGC has copies that say how they were encoded. KoNViD-1k's names came down to their number.
    number = stem.split("_")[0]
    return [path, stem, stem.split("_crf_")[0], *([number] if number.isdigit() else [])]
