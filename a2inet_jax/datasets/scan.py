"""Scan of a folder into which a data set was unpacked: the rows of its label files, and their video files."""

import contextlib
import hashlib
import json
import re
import subprocess
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Protocol

from a2inet_jax.datasets.label_file import LabelRow
from a2inet_jax.datasets.lists import SUFFIXES, walk
from a2inet_jax.errors import DataError, VideoError
from a2inet_jax.video.ffmpeg import run_ffmpeg
from a2inet_jax.video.raw import HEADERLESS_SUFFIXES, RawDecoder, RawFormat
from a2inet_jax.video.reader import cancelling_pool
from a2inet_jax.video.worker import num_cpus

# Called with (video id, videos done, videos in all).
Progress = Callable[[str, int, int], None]
_PROBE_TIMEOUT_S = 60.0


class Folder:
    """A folder and all files in it at any depth, with links followed.

    Attributes:
        path: The folder, absolute.
        files: Paths relative to it with "/", the least deep first, then sorted. Files in folders whose name
            starts with a dot, such as `.Trash`, are left out.
    """

    def __init__(self, path: Path) -> None:
        """List the files of a folder."""
        self.path = path.absolute()
        found = []
        for root, folders, names in walk(self.path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            relative = root.relative_to(self.path)
            # A broken link counts as a missing file.
            found += [(relative / name).as_posix() for name in names if (root / name).is_file()]
        self.files = sorted(found, key=lambda file: (file.count("/"), file))

    def first(self, names: Sequence[str]) -> Path | None:
        """Return the file with the first of these names that exists, in any case and at any depth."""
        by_name = {PurePosixPath(file).name.lower(): file for file in reversed(self.files)}
        found = (by_name[name.lower()] for name in names if name.lower() in by_name)
        return next((self.path / file for file in found), None)

    def choose(self, files: Sequence[str], expected: str) -> str | None:
        """Choose the file of a video from all those whose names match it; None if there are none.

        A single file is taken wherever it is. Of several, the one at the path that it has in the distribution
        is taken, or else the only one whose path ends in that: it may have been unpacked into a folder of its
        own.

        Raises:
            DataError: There are several files, and it is not clear which one to take.
        """
        if len(files) < 2:
            return files[0] if files else None
        wanted = expected.lower()
        exact = [file for file in files if file.lower() == wanted]
        found = exact or [file for file in files if file.lower().endswith(f"/{wanted}")]
        if len(found) == 1:
            return found[0]
        raise DataError(
            f"{self.path} has {len(files)} files for one video: {' and '.join(files)}. "
            f"Keep one of them, or move the right one to {self.path / expected}"
        )


def stem(name: str) -> str:
    """Return the last component of a path without a video suffix; other dots belong to the name."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.stem if path.suffix.lower() in {*SUFFIXES, *HEADERLESS_SUFFIXES} else path.name


@dataclass(frozen=True)
class ProbeResult:
    """Frame rate of a file, average from the header, and frame size in pixels, rotation applied.

    All are 0 if no frame could be decoded.
    """

    frame_rate: float
    height: int
    width: int


UNKNOWN = ProbeResult(0.0, 0, 0)


@dataclass(frozen=True)
class ListedVideo:
    """A video as a row of a label file lists it; the label is None where the cell is empty."""

    row: LabelRow
    name: str
    mos: float | None
    split: str = "train"  # name of the TFDS split


@dataclass(frozen=True)
class ScannedVideo:
    """A labelled video and its file."""

    video_id: str  # the same for every generation of file names
    path: str  # of the file in the folder; the expected path if the file is missing
    present: bool  # the file exists
    bytes: int  # size of the file; 0 if it is missing
    mos: float
    reference_id: str  # the content
    split: str  # name of the TFDS split
    probed: ProbeResult = UNKNOWN


@dataclass(frozen=True)
class ScanResult:
    """The labelled videos of a folder (absolute), in the order of the label files."""

    folder: Path
    videos: tuple[ScannedVideo, ...]
    without_mos: tuple[str, ...]  # ids of the videos that are listed without a label, sorted

    def state_sha256(self) -> str:
        """Return a hash of everything but the probe results; an index with the same hash is up to date."""
        videos = [{**vars(video), "probed": None} for video in self.videos]
        text = json.dumps([str(self.folder), videos, self.without_mos])
        return hashlib.sha256(text.encode()).hexdigest()


class Rules(Protocol):
    """Rules by which a data set's videos are listed and found; `builder.LabelledBuilder` documents them."""

    SUFFIXES: frozenset[str]

    def read_labels(self, folder: Folder) -> list[ListedVideo]: ...  # noqa: D102

    def video_id(self, name: str) -> str: ...  # noqa: D102

    def expected_path(self, name: str, video_id: str) -> str: ...  # noqa: D102

    def content_id(self, video_id: str) -> str: ...  # noqa: D102


def scan(rules: Rules, path: Path) -> ScanResult:
    """Read a data set's label files in a folder and find its video files, without opening these.

    Raises:
        FileNotFoundError: There is no label file in the folder.
        DataError: A label file is broken or lists a video twice, or two files match one video.
    """
    folder = Folder(path)
    listed_videos = rules.read_labels(folder)
    files = _files_by_id(rules, folder)
    rows_by_id: dict[str, LabelRow] = {}
    videos, without_mos = [], []
    for listed in listed_videos:
        # Identify the video; each may be listed once.
        try:
            video_id = rules.video_id(listed.name)
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
        expected = rules.expected_path(listed.name, video_id)
        file = folder.choose(files.get(key, []), expected)
        videos.append(
            ScannedVideo(
                video_id,
                path=file or expected,
                present=file is not None,
                bytes=(folder.path / file).stat().st_size if file else 0,
                mos=listed.mos,
                reference_id=rules.content_id(video_id),
                split=listed.split,
            )
        )
    if not videos:
        raise DataError(f"{listed_videos[0].row.file}: no video in it has a label")
    return ScanResult(folder.path, tuple(videos), tuple(sorted(without_mos)))


def probe(path: Path, raw: RawFormat | None = None) -> ProbeResult:
    """Read the header of a video and decode its first frame; a raw video must contain whole frames."""
    if raw:
        try:
            RawDecoder(path, raw)
        except VideoError:
            return UNKNOWN
        return ProbeResult(raw.frame_rate, raw.height, raw.width)
    options = ["-i", f"file:{path.absolute()}", "-map", "0:v:0"]
    options += ["-frames:v", "1", "-f", "null", "-"]
    try:
        done = run_ffmpeg(options, "info", timeout_s=_PROBE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return UNKNOWN
    # ffmpeg describes the input with its frame rate, then the output with the displayed size; the output only
    # once it has decoded a frame.
    source, _, shown = done.stderr.decode(errors="replace").partition("Output #0")
    size = re.search(r"Video: .*?, (\d+)x(\d+)", shown)
    if done.returncode or size is None:
        return UNKNOWN
    rate = re.search(r"Video: .*?, ([\d.]+)(k?) fps", source)
    frame_rate = float(rate[1]) * (1000 if rate[2] else 1) if rate else 0.0
    return ProbeResult(frame_rate, int(size[2]), int(size[1]))


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
    known_by_video = [known.get((video.path, video.bytes), UNKNOWN) for video in scanned.videos]
    videos: list[ScannedVideo] = []
    # Threads suffice, since ffmpeg's processes do the work.
    with cancelling_pool(num_cpus()) as submit:
        futures = {
            video.path: submit(probe, scanned.folder / video.path, raw)
            for video, result in zip(scanned.videos, known_by_video)
            if video.present and result == UNKNOWN
        }
        for video, result in zip(scanned.videos, known_by_video):
            future = futures.get(video.path)
            videos.append(replace(video, probed=future.result() if future else result))
            on_progress(video.video_id, len(videos), len(scanned.videos))
    return replace(scanned, videos=tuple(videos))


def _files_by_id(rules: Rules, folder: Folder) -> dict[str, list[str]]:
    """Group the folder's video files by the lower-case id that their name stands for."""
    files = defaultdict(list)
    for file in folder.files:
        if Path(file).suffix.lower() in rules.SUFFIXES:
            # Other videos than those of the data set may be there.
            with contextlib.suppress(DataError):
                files[rules.video_id(file).lower()].append(file)
    return files
