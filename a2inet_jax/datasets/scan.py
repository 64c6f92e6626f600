"""Scan of a data set's folder: the rows of its label files, and the video file of each row."""

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from a2inet_jax.datasets.folder import Folder
from a2inet_jax.datasets.label_file import LabelRow
from a2inet_jax.datasets.probe import UNKNOWN, ProbeResult, probe
from a2inet_jax.errors import DataError
from a2inet_jax.video.raw_format import RawFormat

# Called with (video id, videos done, videos in all).
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ListedVideo:
    """A video as a label file lists it.

    Attributes:
        row: The row of the label file.
        name: Name of the video in the label file.
        mos: The label; None where the cell is empty.
        split: Name of the TFDS split.
    """

    row: LabelRow
    name: str
    mos: float | None
    split: str = "train"


class DatasetLayout(Protocol):
    """Names and paths of a data set, as its builder knows them."""

    SUFFIXES: frozenset[str]
    RAW_FORMAT: RawFormat | None

    def read_labels(self, folder: Folder) -> list[ListedVideo]:
        """Read all rows of the label files."""
        ...

    def video_id(self, name: str) -> str:
        """Return the video id for a name; DataError if no video of the data set has such a name."""
        ...

    def content_id(self, video_id: str) -> str:
        """Return the id of the video's content."""
        ...

    def expected_path(self, name: str, video_id: str) -> str:
        """Return the path of the video in the distribution."""
        ...


@dataclass(frozen=True)
class ScannedVideo:
    """A labelled video and its file.

    Attributes:
        video_id: The same for every generation of file names.
        path: Path of the file in the folder; the expected path if the file is missing.
        present: Whether the file exists.
        bytes: Size of the file, 0 if it is missing.
        mos: The label.
        reference_id: The content.
        split: Name of the TFDS split.
        probed: Frame rate and size.
    """

    video_id: str
    path: str
    present: bool
    bytes: int
    mos: float
    reference_id: str
    split: str
    probed: ProbeResult = UNKNOWN


@dataclass(frozen=True)
class ScanResult:
    """The labelled videos of a folder.

    Attributes:
        folder: The folder, absolute.
        videos: In the order of the label files.
        without_mos: Ids of the videos that are listed without a label, sorted.
    """

    folder: Path
    videos: tuple[ScannedVideo, ...]
    without_mos: tuple[str, ...] = field(default=())

    def state_sha256(self) -> str:
        """Return a hash of everything but the probe results; an index with the same hash is up to date."""
        videos = [_hashed_fields(video) for video in self.videos]
        text = json.dumps([str(self.folder), videos, self.without_mos])
        return hashlib.sha256(text.encode()).hexdigest()


def scan(layout: DatasetLayout, path: Path) -> ScanResult:
    """Read a data set's label files and find its video files, without opening these.

    Args:
        layout: Names and paths of the data set.
        path: The folder.

    Raises:
        FileNotFoundError: There is no label file in the folder.
        DataError: A label file is broken or lists a video twice, or two files match one video.
    """
    folder = Folder(path)
    listed_videos = layout.read_labels(folder)
    files = _files_by_id(layout, folder)
    rows_by_id: dict[str, LabelRow] = {}
    videos, without_mos = [], []
    for listed in listed_videos:
        # Identify the video; each may be listed once.
        try:
            video_id = layout.video_id(listed.name)
        except DataError as error:
            raise listed.row.error(str(error)) from None
        # File systems may ignore case, and lists of one data set differ in it.
        key = video_id.lower()
        other = rows_by_id.setdefault(key, listed.row)
        if other is not listed.row:
            raise listed.row.error(
                f"{video_id} is in row {other.row_number} of {other.file} already"
            )
        if listed.mos is None:
            without_mos.append(video_id)
            continue
        # Find its file.
        expected = layout.expected_path(listed.name, video_id)
        file = folder.choose(files.get(key, []), expected)
        videos.append(
            ScannedVideo(
                video_id,
                path=file or expected,
                present=file is not None,
                bytes=(folder.path / file).stat().st_size if file else 0,
                mos=listed.mos,
                reference_id=layout.content_id(video_id),
                split=listed.split,
            )
        )
    if not videos:
        raise DataError(f"{listed_videos[0].row.file}: no video in it has a label")
    return ScanResult(folder.path, tuple(videos), tuple(sorted(without_mos)))


def probe_files(
    scanned: ScanResult,
    raw: RawFormat | None,
    known: Mapping[tuple[str, int], ProbeResult],
    on_progress: Progress,
) -> ScanResult:
    """Probe the files of a scan, several at a time.

    `raw` is the layout of the frames in files without a header. Results known from an earlier scan, by path
    and size in bytes, are reused.
    """

    def probe_one(video: ScannedVideo) -> ScannedVideo:
        if not video.present:
            return video
        result = known.get((video.path, video.bytes), UNKNOWN)
        if result == UNKNOWN:
            result = probe(scanned.folder / video.path, raw)
        return replace(video, probed=result)

    videos: list[ScannedVideo] = []
    # Threads suffice, since ffmpeg's processes do the work.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for video in pool.map(probe_one, scanned.videos):
            videos.append(video)
            on_progress(video.video_id, len(videos), len(scanned.videos))
    return replace(scanned, videos=tuple(videos))


def _files_by_id(layout: DatasetLayout, folder: Folder) -> dict[str, Sequence[str]]:
    """Group the folder's video files by the lower-case id that their name stands for."""
    files = defaultdict(list)
    for file in folder.files:
        if Path(file).suffix.lower() in layout.SUFFIXES:
            try:
                files[layout.video_id(file).lower()].append(file)
            except DataError:
                continue  # not a video of this data set
    return dict(files)


def _hashed_fields(video: ScannedVideo) -> dict[str, Any]:
    # The key "look" must stay: it is part of the hash that existing indices contain.
    fields = asdict(video)
    del fields["probed"]
    return {**fields, "look": asdict(UNKNOWN)}
