"""TFDS builders of the published data sets: their common base class, and functions to prepare and read them.

The index is in <data_dir>/<builder>/; the videos stay where the user has put them. File names and names in
label files are both mapped to one video id, so that every layout in which a data set was ever distributed
works.
"""

import contextlib
import importlib
import io
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from a2inet_jax.datasets import label_file, scan
from a2inet_jax.datasets.catalog import DATASETS
from a2inet_jax.datasets.lists import SUFFIXES
from a2inet_jax.datasets.scan import Folder, ListedVideo, ProbeResult, Progress, ScanResult
from a2inet_jax.datasets.video import Video
from a2inet_jax.errors import ConfigError
from a2inet_jax.video.raw import RawFormat

# Names that label files give to the columns of the video's name and of its label, in lower case.
NAME_COLUMNS = ("video", "flickr_id", "file_name", "vid", "video_name", "name")
MOS_COLUMNS = ("mos", "realignment mos", "mos full")
# Data set → builder and its TFDS splits. Every other data set has its own builder with one split.
_BUILDER_SPLITS = {"lsvq": ("lsvq", ("train", "test")), "lsvq_1080p": ("lsvq", ("test_1080p",))}
_MANUAL_DIR = "--config.data.manual_dir=FOLDER"


class LabelledBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Base class of the builders: index and labels of a data set whose videos stay where they are.

    Attributes:
        LABEL_FILES: Names of label files; the first that exists is read.
        SUFFIXES: Suffixes of the videos.
        RAW_FORMAT: Layout of the frames in videos without a header; None if all have one.
        SUBSETS: The subset that the data set itself defines for the videos of each TFDS split, if any.
        scan_result: Scan of the folder, if it was done before.
    """

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Put the videos and the label file into one folder."
    LABEL_FILES: tuple[str, ...] = ()
    SUFFIXES: frozenset[str] = SUFFIXES
    RAW_FORMAT: RawFormat | None = None
    SUBSETS: Mapping[str, str] = MappingProxyType({})
    scan_result: ScanResult | None = None

    def video_id(self, name: str) -> str:
        """Return the video id for the name of a file or a name in a label file.

        Raises:
            DataError: No video of the data set has such a name.
        """
        return scan.stem(name)

    def content_id(self, video_id: str) -> str:
        """Return the id of the video's content; by default, every video is its own content."""
        return video_id

    def expected_path(self, name: str, video_id: str) -> str:
        """Return the path, in the distribution, of the video that a label file calls `name`."""
        return name

    def read_labels(self, folder: Folder) -> list[ListedVideo]:
        """Read all rows of the label files in a folder.

        Raises:
            FileNotFoundError: The folder has no label file; lists the names that were looked for.
        """
        if file := folder.first(self.LABEL_FILES):
            return self.read_label_file(file)
        dataset, names = DATASETS[self.name], ", ".join(self.LABEL_FILES)
        raise FileNotFoundError(
            f"{folder.path} has no list of labels of {dataset.title}, which would be one of {names}. "
            f"It comes with the data set: {dataset.homepage}"
        )

    def read_label_file(self, file: Path) -> list[ListedVideo]:
        """Read all rows of one label file."""
        return [
            ListedVideo(row, row.text(*NAME_COLUMNS), row.number_in(*MOS_COLUMNS))
            for row in label_file.read_rows(file)
        ]

    def _info(self) -> tfds.core.DatasetInfo:
        text, scalar = tfds.features.Text, tfds.features.Scalar
        # With another encoding TFDS would keep only 32 bits of a float.
        float64 = partial(tfds.features.Tensor, shape=(), dtype=np.float64, encoding="bytes")
        return self.dataset_info_from_configs(
            homepage=DATASETS[self.name].homepage,
            license=DATASETS[self.name].licence,
            metadata=tfds.core.MetadataDict(),
            features=tfds.features.FeaturesDict(
                {
                    "video_id": text(doc="the same for every generation of file names"),
                    "path": text(doc="relative to the folder named in the metadata"),
                    "present": scalar(np.bool_, doc="False: the path is the expected one"),
                    "bytes": scalar(np.int64, doc="0 if missing"),
                    "mos": float64(doc="on the data set's own scale, larger is better"),
                    "reference_id": text(doc="content; splits by content keep it together"),
                    "part": text(doc="subset that the data set itself defines; may be empty"),
                    "frame_rate": float64(doc="0 if missing or undecodable"),
                    "height": scalar(np.int32, doc="rotation applied; 0 if undecodable"),
                    "width": scalar(np.int32, doc="rotation applied; 0 if undecodable"),
                    "raw_width": scalar(np.int32, doc="0 for files with a header"),
                    "raw_height": scalar(np.int32, doc="0 for files with a header"),
                    "raw_pixel_format": text(doc="empty for files with a header"),
                    "raw_frame_rate": float64(doc="0 for files with a header"),
                }
            ),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        result = self.scan_result
        # TFDS was called directly, not by `prepare`.
        if result is None:
            result = scan.scan(self, Path(dl_manager.manual_dir))
            result = scan.probe_files(result, self.RAW_FORMAT, {}, lambda *_: None)
        self.info.metadata.update(
            manual_dir=str(result.folder),
            state=result.state_sha256(),
            without_mos=result.without_mos,
        )
        splits: dict[str, list[scan.ScannedVideo]] = {}
        for video in result.videos:
            splits.setdefault(video.split, []).append(video)
        return {split: self._generate_examples(videos) for split, videos in splits.items()}

    def _generate_examples(
        self, videos: Sequence[scan.ScannedVideo]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        no_raw = {"width": 0, "height": 0, "pixel_format": "", "frame_rate": 0.0}
        raw = vars(self.RAW_FORMAT) if self.RAW_FORMAT else no_raw
        for video in videos:
            record = {
                **vars(video),
                **vars(video.probed),
                "part": self.SUBSETS.get(video.split, ""),
            }
            del record["probed"], record["split"]
            yield video.video_id, record | {f"raw_{name}": value for name, value in raw.items()}


def prepare(
    name: str, data_dir: Path, manual_dir: Path | None, on_progress: Progress
) -> list[Path]:
    """Write the index of a data set; quick when neither the labels nor the files have changed.

    Args:
        name: The data set.
        data_dir: The data folder.
        manual_dir: Folder with the label file and the videos; None: the same as the last time.
        on_progress: Called as the videos are probed.

    Returns:
        Expected paths of the missing videos.

    Raises:
        FileNotFoundError: There is no such folder, or no label file in it.
        ConfigError: The folder of the data set is not known.
        DataError: A label file is broken, or two files match one video.
    """
    builder_name, splits = _builder_and_splits(name)
    title, homepage = DATASETS[name].title, DATASETS[name].homepage
    builder = _make_builder(builder_name, data_dir)
    # Find the folder.
    if manual_dir is None:
        if not builder.info.splits:
            raise ConfigError(
                f"the folder of {title} is not known: name it with {_MANUAL_DIR}. The data set is available "
                f"from {homepage}"
            )
        manual_dir = Path(builder.info.metadata["manual_dir"])
    if not manual_dir.is_dir():
        raise FileNotFoundError(
            f"there is no folder {manual_dir}: put {title} into it, or name another one with {_MANUAL_DIR}. "
            f"The data set is available from {homepage}"
        )
    # Write the index again only if its content would change.
    result = scan.scan(builder, manual_dir)
    if not builder.info.splits or builder.info.metadata["state"] != result.state_sha256():
        result = scan.probe_files(result, builder.RAW_FORMAT, _known_probes(builder), on_progress)
        _replace_index(builder_name, data_dir, result)
    return [
        result.folder / video.path
        for video in result.videos
        if video.split in splits and not video.present
    ]


def read(name: str, data_dir: Path) -> list[Video]:
    """Read all labelled videos of a prepared data set, sorted by video id; files may be missing.

    Raises:
        FileNotFoundError: The data set was not prepared, or without the label file of this subset.
    """
    builder = _prepared_builder(name, data_dir)
    folder = Path(builder.info.metadata["manual_dir"])
    videos = []
    for split in _builder_and_splits(name)[1]:
        if split not in builder.info.splits:
            raise FileNotFoundError(
                f"{folder} had no list of the {split} subset of {DATASETS[name].title} when it was prepared: "
                f"see docs/datasets.md, and run `a2inet data prepare {name}` again"
            )
        videos += [_to_video(folder, record) for record in read_records(builder, split)]
    return sorted(videos, key=lambda video: video.video_id)


def without_mos(name: str, data_dir: Path) -> list[str]:
    """Return the ids of the videos that a prepared data set lists without a label, sorted.

    Raises:
        FileNotFoundError: The data set was not prepared.
    """
    return list(_prepared_builder(name, data_dir).info.metadata["without_mos"])


def _builder_and_splits(name: str) -> tuple[str, tuple[str, ...]]:
    return _BUILDER_SPLITS.get(name, (name, ("train",)))


def _make_builder(name: str, data_dir: Path) -> LabelledBuilder:
    module = importlib.import_module(f"a2inet_jax.datasets.{name}.{name}_dataset_builder")
    builder: LabelledBuilder = module.Builder(data_dir=str(data_dir), file_format="array_record")
    return builder


def _prepared_builder(name: str, data_dir: Path) -> LabelledBuilder:
    builder = _make_builder(_builder_and_splits(name)[0], data_dir)
    if not builder.info.splits:
        raise FileNotFoundError(
            f"there is no index of {DATASETS[name].title} in {data_dir}: make it with "
            f"`a2inet data prepare {name}`"
        )
    return builder


def read_records(builder: tfds.core.DatasetBuilder, split: str) -> list[dict[str, Any]]:
    """Return the records of an index as values of Python's own types."""
    source = builder.as_data_source(split=split)
    # All at once, which is faster than one by one.
    records = source.__getitems__(range(len(source)))
    return [{name: _plain(value) for name, value in record.items()} for record in records]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if isinstance(value, np.ndarray | np.generic) else value


def _to_video(folder: Path, record: dict[str, Any]) -> Video:
    raw = {field.name: record[f"raw_{field.name}"] for field in fields(RawFormat)}
    return Video(
        record["video_id"],
        folder / record["path"],
        record["mos"],
        record["reference_id"],
        raw=RawFormat(**raw) if record["raw_width"] else None,
        subset=record["part"],
    )


def _known_probes(builder: LabelledBuilder) -> dict[tuple[str, int], ProbeResult]:
    """Return the probe results in the existing index, by path and size in bytes."""
    records = [record for split in builder.info.splits for record in read_records(builder, split)]
    return {
        (each["path"], each["bytes"]): ProbeResult(
            each["frame_rate"], each["height"], each["width"]
        )
        for each in records
    }


def _replace_index(name: str, data_dir: Path, result: ScanResult) -> None:
    """Write the index into a temporary folder, then replace the existing one by it."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=data_dir, prefix=f".{name}.") as temporary:
        builder = _make_builder(name, Path(temporary))
        builder.scan_result = result
        write_index(builder, result.folder)
        home = data_dir / name
        if home.exists():
            os.replace(home, f"{temporary}/last")
        os.replace(f"{temporary}/{name}", home)


def write_index(builder: tfds.core.DatasetBuilder, manual_dir: Path) -> None:
    """Have TFDS write an index of the files in a folder; an existing one is kept."""
    tfds.disable_progress_bar()
    with (
        tempfile.TemporaryDirectory(prefix="a2inet-") as downloads,
        # TFDS prints what it "downloads", in the middle of the caller's progress.
        contextlib.redirect_stdout(io.StringIO()),
    ):
        config = tfds.download.DownloadConfig(manual_dir=str(manual_dir))
        builder.download_and_prepare(download_dir=downloads, download_config=config)
