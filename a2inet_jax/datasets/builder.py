"""What the TFDS builders of the published data sets have in common, and the way to them.

The index lies in <data_dir>/<builder>/; the videos stay where somebody has put them. Names of files and names
in lists are both brought down to one video id, so that any layout in which a data set was ever distributed
will do.
"""

import contextlib
import importlib
import io
import os
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from a2inet_jax.datasets import label_file, scan
from a2inet_jax.datasets.catalog import DATASETS
from a2inet_jax.datasets.folder import Folder, stem
from a2inet_jax.datasets.lists import SUFFIXES
from a2inet_jax.datasets.probe import Probe
from a2inet_jax.datasets.scan import Found, Label, Progress, Scan
from a2inet_jax.datasets.video import Video
from a2inet_jax.video.raw_format import RawFormat

# How lists head the columns that matter.
NAMES = ("video", "flickr_id", "file_name", "vid", "video_name", "name")
MOS = ("mos", "realignment mos", "mos full")
# Data set → builder, and its splits. All others are builders of their own with one split.
_PARTS = {"lsvq": ("lsvq", ("train", "test")), "lsvq_1080p": ("lsvq", ("test_1080p",))}
_WHERE = "--manual_dir=FOLDER, or data.manual_dir in a config"


class LabelledBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Index and labels of a published data set; the videos stay where they are.

    Attributes:
      LISTS: names of label files; the first that is there is read.
      SUFFIXES: of the videos.
      RAW: how frames lie in them, where they have no header.
      found: what is in the folder, if that was looked up before.
    """

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Put the videos and the list of labels into one folder."
    LISTS: tuple[str, ...] = ()
    SUFFIXES: frozenset[str] = SUFFIXES
    RAW: RawFormat | None = None
    found: Scan | None = None

    def identify(self, name: str) -> str:
        """Video id for a name of a file or in a list; ValueError where the data set has no such names."""
        return stem(name)

    def content(self, video_id: str) -> str:
        """What the video shows: by default each something of its own."""
        return video_id

    def expected(self, name: str, video_id: str) -> str:
        """Where the distribution has the video that a list gives this name."""
        return name

    def labels(self, folder: Folder) -> list[Label]:
        """All rows of the label files in a folder; FileNotFoundError where there is none."""
        if file := folder.first(self.LISTS):
            return self.listed(file)
        raise self.no_list(folder)

    def listed(self, file: Path) -> list[Label]:
        """All rows of one label file."""
        return [Label(row, row.text(*NAMES), row.number_in(*MOS)) for row in label_file.rows(file)]

    def no_list(self, folder: Folder) -> FileNotFoundError:
        """An error that says what is needed and where it can be had."""
        facts, lists = DATASETS[self.name], ", ".join(self.LISTS)
        return FileNotFoundError(
            f"{folder.path} has no list of labels of {facts.title}, which would be one of {lists}. "
            f"It comes with the data set: {facts.homepage}"
        )

    def _info(self) -> tfds.core.DatasetInfo:
        text, scalar = tfds.features.Text, tfds.features.Scalar
        # Numbers of other encodings are kept with 32 bits.
        exact = partial(tfds.features.Tensor, shape=(), dtype=np.float64, encoding="bytes")
        return self.dataset_info_from_configs(
            homepage=DATASETS[self.name].homepage,
            license=DATASETS[self.name].licence,
            metadata=tfds.core.MetadataDict(),
            features=tfds.features.FeaturesDict(
                {
                    "video_id": text(doc="the same for each generation of file names"),
                    "path": text(doc="from the folder that the metadata name"),
                    "present": scalar(np.bool_, doc="if not, the path is the expected one"),
                    "bytes": scalar(np.int64, doc="0 if missing"),
                    "mos": exact(doc="on the data set's own scale, larger is better"),
                    "reference_id": text(doc="content: splits by content never part it"),
                    "part": text(doc="where the data set itself puts the video; may be empty"),
                    "frame_rate": exact(doc="0 if missing or undecodable"),
                    "height": scalar(np.int32, doc="rotation applied; 0 if undecodable"),
                    "width": scalar(np.int32, doc="rotation applied; 0 if undecodable"),
                    "raw_width": scalar(np.int32, doc="0 for files with a header"),
                    "raw_height": scalar(np.int32, doc="0 for files with a header"),
                    "raw_pixel_format": text(doc="empty for files with a header"),
                    "raw_frame_rate": exact(doc="0 for files with a header"),
                }
            ),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        found = self.found
        if found is None:
            found = scan.scan(self, Path(dl_manager.manual_dir))
            found = scan.looked_at(found, self.RAW, {}, lambda *_: None)
        self.info.metadata.update(
            manual_dir=str(found.folder), state=found.state(), without_mos=found.without_mos
        )
        splits: dict[str, list[Found]] = {}
        for video in found.videos:
            splits.setdefault(video.split, []).append(video)
        return {split: self._generate_examples(videos) for split, videos in splits.items()}

    def _generate_examples(self, videos: Sequence[Found]) -> Iterator[tuple[str, dict[str, Any]]]:
        raw = self.RAW
        for video in videos:
            yield (
                video.video_id,
                {
                    "video_id": video.video_id,
                    "path": video.path,
                    "present": video.present,
                    "bytes": video.bytes,
                    "mos": video.mos,
                    "reference_id": video.reference_id,
                    "part": self.part(video.split),
                    "frame_rate": video.look.frame_rate,
                    "height": video.look.height,
                    "width": video.look.width,
                    "raw_width": raw.width if raw else 0,
                    "raw_height": raw.height if raw else 0,
                    "raw_pixel_format": raw.pixel_format if raw else "",
                    "raw_frame_rate": raw.frame_rate if raw else 0.0,
                },
            )

    def part(self, split: str) -> str:
        """Where the data set itself puts the videos of a split of TFDS: by default it leaves that open."""
        return ""


def prepare(
    name: str, data_dir: Path, manual_dir: Path | None, on_progress: Progress
) -> list[Path]:
    """Write the index of a data set; quick when the list and the files are those of the last time.

    Args:
      name: the data set.
      data_dir: the data folder.
      manual_dir: where somebody has put its list and its videos; None: where they were the last time.
      on_progress: called with (video id, videos looked at, videos in all).

    Returns:
      Where the videos that are missing are expected.

    Raises:
      FileNotFoundError: there is no such folder, or no list of labels in it.
      ValueError: it was never said where the data set is, a list is broken, or two files claim to be one
        video.
    """
    builder_name, splits = _parts(name)
    last = _builder(builder_name, data_dir)
    if manual_dir is None:
        if not last.info.splits:
            raise ValueError(
                f"say in which folder {DATASETS[name].title} is: {_WHERE}. It can be had from "
                f"{DATASETS[name].homepage}"
            )
        manual_dir = Path(last.info.metadata["manual_dir"])
    if not manual_dir.is_dir():
        raise FileNotFoundError(
            f"there is no folder {manual_dir}: put {DATASETS[name].title} into it, or say where it is: "
            f"{_WHERE}. It can be had from {DATASETS[name].homepage}"
        )
    found = scan.scan(last, manual_dir)
    if not last.info.splits or last.info.metadata["state"] != found.state():
        found = scan.looked_at(found, last.RAW, _known(last), on_progress)
        _write(builder_name, data_dir, found)
    return [
        found.folder / video.path
        for video in found.videos
        if video.split in splits and not video.present
    ]


def read(name: str, data_dir: Path) -> list[Video]:
    """All labelled videos of a prepared data set, sorted by video id; files may be missing.

    Raises:
      FileNotFoundError: it was not prepared, or there was no list for this part of it.
    """
    builder = _prepared(name, data_dir)
    folder = Path(builder.info.metadata["manual_dir"])
    videos = []
    for split in _parts(name)[1]:
        if split not in builder.info.splits:
            raise FileNotFoundError(
                f"{folder} had no list of the {split} part of {DATASETS[name].title} when it was prepared: "
                f"see docs/datasets.md, and `a2inet data prepare {name}` again"
            )
        videos += [_video(folder, record) for record in builder.as_data_source(split=split)]
    return sorted(videos, key=lambda video: video.video_id)


def without_mos(name: str, data_dir: Path) -> list[str]:
    """Ids of videos that the list of a prepared data set has without a label, sorted.

    Raises:
      FileNotFoundError: it was not prepared.
    """
    return list(_prepared(name, data_dir).info.metadata["without_mos"])


def _parts(name: str) -> tuple[str, tuple[str, ...]]:
    return _PARTS.get(name, (name, ("train",)))


def _builder(name: str, data_dir: Path) -> LabelledBuilder:
    module = importlib.import_module(f"a2inet_jax.datasets.{name}.{name}_dataset_builder")
    builder: LabelledBuilder = module.Builder(data_dir=str(data_dir), file_format="array_record")
    return builder


def _prepared(name: str, data_dir: Path) -> LabelledBuilder:
    builder = _builder(_parts(name)[0], data_dir)
    if not builder.info.splits:
        raise FileNotFoundError(
            f"there is no index of {DATASETS[name].title} in {data_dir}: make it with "
            f"`a2inet data prepare {name}`"
        )
    return builder


def _video(folder: Path, record: dict[str, Any]) -> Video:
    raw = None
    if record["raw_width"]:
        size = (int(record["raw_width"]), int(record["raw_height"]))
        raw = RawFormat(*size, _text(record["raw_pixel_format"]), float(record["raw_frame_rate"]))
    return Video(
        _text(record["video_id"]),
        folder / _text(record["path"]),
        float(record["mos"]),
        _text(record["reference_id"]),
        raw=raw,
        part=_text(record["part"]),
    )


def _known(builder: LabelledBuilder) -> dict[tuple[str, int], Probe]:
    """What was seen in the files of the last index, by path and size."""
    known = {}
    for split in builder.info.splits:
        for record in builder.as_data_source(split=split):
            seen = Probe(float(record["frame_rate"]), int(record["height"]), int(record["width"]))
            known[_text(record["path"]), int(record["bytes"])] = seen
    return known


def _write(name: str, data_dir: Path, found: Scan) -> None:
    """Write the index aside, then put it in the place of the last one."""
    tfds.disable_progress_bar()
    data_dir.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=data_dir, prefix=f".{name}.") as aside,
        # TFDS announces on standard output what it "downloads", which is where the caller's progress goes.
        contextlib.redirect_stdout(io.StringIO()),
    ):
        builder = _builder(name, Path(aside))
        builder.found = found
        config = tfds.download.DownloadConfig(manual_dir=str(found.folder))
        builder.download_and_prepare(download_dir=f"{aside}/downloads", download_config=config)
        home = data_dir / name
        if home.exists():
            os.replace(home, f"{aside}/last")
        os.replace(f"{aside}/{name}", home)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
