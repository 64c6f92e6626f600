"""TFDS index of the sample data set. Its labels are VMAF, a metric: no person has rated these clips."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from a2inet_jax.datasets.builder import read_records, write_index
from a2inet_jax.datasets.catalog import DATASETS
from a2inet_jax.datasets.sample.recipe import read_label
from a2inet_jax.datasets.video import Video

_REMEDY = "make it with `a2inet data prepare sample`"
_DESCRIPTION = """
Short real clips, and photographs under a moving camera, degraded as user videos are: for trying video quality
assessment from end to end.
**The labels are not human opinions**: `mos` is the VMAF (model v0.6.1, 0 to 100) of each clip against its
pristine source, in place of a mean opinion score. A model trained on them learns to predict, without the
reference, what VMAF computes with it; it does not learn what people prefer.
"""


class Builder(tfds.core.GeneratorBasedBuilder):
    """Builder of the index and labels; the clips are files beside it."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = _REMEDY

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description=_DESCRIPTION,
            license=DATASETS["sample"].licence,
            features=tfds.features.FeaturesDict(
                {
                    "video_id": tfds.features.Text(),
                    "path": tfds.features.Text(doc="relative to the data set's folder"),
                    "mos": tfds.features.Scalar(np.float32, doc="VMAF, 0 to 100"),
                    "reference_id": tfds.features.Text(doc="content; splits keep it together"),
                    "distortion": tfds.features.Text(),
                    "strength": tfds.features.Scalar(np.int32, doc="1 is the mildest"),
                    "frames": tfds.features.Scalar(np.int32),
                    "height": tfds.features.Scalar(np.int32),
                    "width": tfds.features.Scalar(np.int32),
                }
            ),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        # All clips are in one TFDS split: train and test subsets are drawn by content, many times.
        return {"train": self._generate_examples(Path(dl_manager.manual_dir))}

    def _generate_examples(self, clips: Path) -> Iterator[tuple[str, dict[str, Any]]]:
        for file in sorted(clips.glob("*.json")):
            record = read_label(clips, file.stem)
            if record is None:
                raise FileNotFoundError(f"{file.with_suffix('.mp4')} is missing: {_REMEDY}")
            del record["bytes"]
            yield file.stem, {**record, "path": f"{clips.name}/{file.stem}.mp4"}


def write(home: Path, clips: Path) -> None:
    """Write the index of the data set in folder `home`, whose clips are complete; an existing one is kept."""
    write_index(_make_builder(home), clips)


def read(home: Path) -> list[Video]:
    """Read the labelled videos of the data set in folder `home`, sorted by video id.

    Raises:
        FileNotFoundError: The data set or one of its clips is missing.
    """
    # is_prepared() would print warnings.
    if not (builder := _make_builder(home)).info.splits:
        raise FileNotFoundError(f"there is no sample data set in {home}: {_REMEDY}")
    videos = []
    for record in read_records(builder, "train"):
        path = home / record["path"]
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: {_REMEDY}")
        fields = (record["video_id"], path, record["mos"], record["reference_id"])
        videos.append(Video(*fields, distortion=record["distortion"]))
    return sorted(videos, key=lambda video: video.video_id)


def _make_builder(home: Path) -> Builder:
    return Builder(data_dir=str(home), file_format="array_record")
