"""What a folder holds of a data set: the rows of its label list, and the file of each, if it is there."""

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Protocol

from a2inet_jax.datasets.folder import Folder
from a2inet_jax.datasets.label_file import Row
from a2inet_jax.datasets.probe import UNKNOWN, Probe, probe
from a2inet_jax.video.raw_format import RawFormat

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Label:
    """One row of a list.

    Attributes:
      row: where it stands.
      name: what the list calls the video.
      mos: the label; None where the list leaves it open.
      split: of TFDS.
    """

    row: Row
    name: str
    mos: float | None
    split: str = "train"


class Layout(Protocol):
    """How a data set names things: what its builder knows."""

    SUFFIXES: frozenset[str]
    RAW: RawFormat | None

    def labels(self, folder: Folder) -> list[Label]:
        """All rows of the label files."""
        ...

    def identify(self, name: str) -> str:
        """Video id for a name; ValueError where the data set has no such names."""
        ...

    def content(self, video_id: str) -> str:
        """What the video shows."""
        ...

    def expected(self, name: str, video_id: str) -> str:
        """Where the distribution has the video."""
        ...


@dataclass(frozen=True)
class Found:
    """A labelled video, and its file.

    Attributes:
      video_id: the same whatever the generation of file names.
      path: of the file, from the folder; where it should be if it is missing.
      present: whether it is there.
      bytes: of the file, 0 if missing.
      mos: the label.
      reference_id: the content.
      split: of TFDS.
      look: at the file.
    """

    video_id: str
    path: str
    present: bool
    bytes: int
    mos: float
    reference_id: str
    split: str
    look: Probe = UNKNOWN


@dataclass(frozen=True)
class Scan:
    """What a folder holds of a data set.

    Attributes:
      folder: the folder, absolute.
      videos: in the order of the list.
      without_mos: ids of videos that the list has without a label, sorted.
    """

    folder: Path
    videos: tuple[Found, ...]
    without_mos: tuple[str, ...] = field(default=())

    def state(self) -> str:
        """SHA-256 of all this but what was seen in the files: an index of the same state is up to date."""
        videos = [asdict(replace(video, look=UNKNOWN)) for video in self.videos]
        text = json.dumps([str(self.folder), videos, self.without_mos])
        return hashlib.sha256(text.encode()).hexdigest()


def scan(layout: Layout, path: Path) -> Scan:
    """Find a data set's labels and files; of the files none is opened but the lists.

    Args:
      layout: how the data set names things.
      path: the folder.

    Raises:
      FileNotFoundError: there is no list in it.
      ValueError: a list is broken or names a video twice, or two files claim to be one video.
    """
    folder = Folder(path)
    labels = layout.labels(folder)
    places = _places(layout, folder)
    seen: dict[str, Row] = {}
    videos, without_mos = [], []
    for label in labels:
        try:
            video_id = layout.identify(label.name)
        except ValueError as error:
            raise label.row.error(str(error)) from None
        # File systems may not tell cases apart, and lists of one data set differ in them.
        key = video_id.lower()
        other = seen.setdefault(key, label.row)
        if other is not label.row:
            raise label.row.error(f"{video_id} is in row {other.number} of {other.file} already")
        if label.mos is None:
            without_mos.append(video_id)
            continue
        expected = layout.expected(label.name, video_id)
        file = folder.choose(places.get(key, []), expected)
        size = (folder.path / file).stat().st_size if file else 0
        about = (label.mos, layout.content(video_id), label.split)
        videos.append(Found(video_id, file or expected, file is not None, size, *about))
    if not videos:
        raise ValueError(f"{labels[0].row.file}: no video in it has a label")
    return Scan(folder.path, tuple(videos), tuple(sorted(without_mos)))


def looked_at(
    found: Scan,
    raw: RawFormat | None,
    known: Mapping[tuple[str, int], Probe],
    on_progress: Progress,
) -> Scan:
    """Look at the files, several at a time.

    Args:
      found: files to look at.
      raw: how frames lie in files without a header.
      known: what was seen earlier, by path and size; such files are not opened again.
      on_progress: called with (video id, videos done, videos in all).
    """

    def look(video: Found) -> Found:
        if not video.present:
            return video
        seen = known.get((video.path, video.bytes), UNKNOWN)
        if seen == UNKNOWN:
            seen = probe(found.folder / video.path, raw)
        return replace(video, look=seen)

    videos: list[Found] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # threads, for the work is done by ffmpeg
        for video in pool.map(look, found.videos):
            videos.append(video)
            on_progress(video.video_id, len(videos), len(found.videos))
    return replace(found, videos=tuple(videos))


def _places(layout: Layout, folder: Folder) -> dict[str, Sequence[str]]:
    """Files of the folder by the video that they claim to be."""
    places = defaultdict(list)
    for file in folder.files:
        if Path(file).suffix.lower() in layout.SUFFIXES:
            try:
                places[layout.identify(file).lower()].append(file)
            except ValueError:
                continue  # a video of something else
    return dict(places)
