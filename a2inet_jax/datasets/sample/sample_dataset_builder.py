"""TFDS index of the sample data set. The labels are VMAF's, a metric's: no person rated these clips."""

import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from a2inet_jax.datasets.catalog import DATASETS
from a2inet_jax.datasets.sample import prepare
from a2inet_jax.datasets.video import Video

_REMEDY = "make it with `a2inet prepare --config=configs/sample.py`"
_DESCRIPTION = """
Short real clips, and photographs under a moving camera, degraded in the ways that people's videos are:
for trying video quality assessment from end to end.
**The labels are not human opinions**: `mos` is VMAF (model v0.6.1, 0 to 100) of each clip against its
pristine source, standing in for a mean opinion score. A model trained here learns to see without the
reference what VMAF sees with it; it does not learn what people like.
"""


class Builder(tfds.core.GeneratorBasedBuilder):
    """Index and labels; the clips lie beside it as files."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = _REMEDY

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description=_DESCRIPTION,
            license=DATASETS["sample"].licence,
            features=tfds.features.FeaturesDict(
                {
                    "video_id": tfds.features.Text(),
                    "path": tfds.features.Text(doc="of the clip, from the folder of the set"),
                    "mos": tfds.features.Scalar(np.float32, doc="VMAF, 0 to 100"),
                    "reference_id": tfds.features.Text(doc="content: splits never part it"),
                    "distortion": tfds.features.Text(),
                    "strength": tfds.features.Scalar(np.int32, doc="1 is the mildest"),
                    "frames": tfds.features.Scalar(np.int32),
                    "height": tfds.features.Scalar(np.int32),
                    "width": tfds.features.Scalar(np.int32),
                }
            ),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        # One TFDS split holds all: what is trained on and tested on is drawn by content, many times.
        return {"train": self._generate_examples(Path(dl_manager.manual_dir))}

    def _generate_examples(self, clips: Path) -> Iterator[tuple[str, dict[str, Any]]]:
        for file in sorted(clips.glob("*.json")):
            record = prepare.read_label(clips, file.stem)
            if record is None:
                raise FileNotFoundError(f"{file.with_suffix('.mp4')} is gone: {_REMEDY}")
            del record["bytes"]
            yield file.stem, {**record, "path": f"{clips.name}/{file.stem}.mp4"}


def write(home: Path, clips: Path) -> None:
    """Write the index of the set in folder `home`, whose clips are all there; an existing one stays."""
    tfds.disable_progress_bar()
    with (
        tempfile.TemporaryDirectory(prefix="a2inet-") as downloads,
        # TFDS announces on standard output what it "downloads", which is where the caller's progress goes.
        contextlib.redirect_stdout(io.StringIO()),
    ):
        config = tfds.download.DownloadConfig(manual_dir=str(clips))
        _builder(home).download_and_prepare(download_dir=downloads, download_config=config)


def read(home: Path) -> list[Video]:
    """The labelled videos of the set in folder `home`, sorted by video id.

    Raises:
      FileNotFoundError: the set is not there, or a clip of it is gone.
    """
    if not (builder := _builder(home)).info.splits:  # is_prepared() would write warnings
        raise FileNotFoundError(f"there is no sample data set in {home}: {_REMEDY}")
    videos = []
    for record in builder.as_data_source(split="train"):
        video_id, path, content = (
            _text(record[key]) for key in ("video_id", "path", "reference_id")
        )
        videos.append(Video(video_id, home / path, float(record["mos"]), content))
        if not videos[-1].path.exists():
            raise FileNotFoundError(f"{videos[-1].path} is gone: {_REMEDY}")
    return sorted(videos, key=lambda video: video.video_id)


def _builder(home: Path) -> Builder:
    return Builder(data_dir=str(home), file_format="array_record")


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
