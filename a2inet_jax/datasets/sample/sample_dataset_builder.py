"""TFDS index of the sample data set. The labels are VMAF's, a metric's: no person rated these clips."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from a2inet_jax.datasets.sample import prepare
from a2inet_jax.datasets.sample.recipe import Recipe

_DESCRIPTION = """
Short real clips and photographs under a moving camera, degraded in the ways that people's videos are, for trying
out video quality assessment from end to end. **The labels are not human opinions**: `mos` is VMAF (model v0.6.1,
0 to 100) of each clip against its pristine source, a stand-in for a mean opinion score. A model trained here
learns to do without the reference what VMAF does with it; it does not learn what people like.
"""


class Builder(tfds.core.GeneratorBasedBuilder):
    """Index and labels; the clips lie beside it as files."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "`a2inet prepare --config=configs/sample.py` makes the clips."

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description=_DESCRIPTION,
            features=tfds.features.FeaturesDict(
                {
                    "video_id": tfds.features.Text(),
                    "path": tfds.features.Text(doc="relative to the data folder"),
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
        for label in sorted(clips.glob("*.json")):
            record = prepare.read_label(clips, label.stem)
            if record is None:
                raise FileNotFoundError(f"{label.with_suffix('.mp4')} is missing: prepare the set again")
            del record["bytes"]
            path = f"{self.name}/{self.builder_config.name}/clips/{label.stem}.mp4"
            yield label.stem, {**record, "path": path}


def builder(data_dir: Path, recipe: Recipe) -> Builder:
    """The builder of one recipe's set under a data folder."""
    name = prepare.folder(data_dir, recipe).name
    description = "Clips and labels of one recipe, named by its fingerprint."
    config = tfds.core.BuilderConfig(name=name, version="1.0.0", description=description)
    return Builder(data_dir=str(data_dir), config=config, file_format="array_record")


def write(data_dir: Path, recipe: Recipe, clips: Path) -> None:
    """Write the index of a set whose clips are all there; nothing to do if there is one."""
    tfds.disable_progress_bar()
    manual = tfds.download.DownloadConfig(manual_dir=str(clips))
    builder(data_dir, recipe).download_and_prepare(download_config=manual)


def read(data_dir: Path, recipe: Recipe) -> list[dict[str, Any]]:
    """The records of a prepared set.

    Raises:
      FileNotFoundError: the set is not there.
    """
    found = builder(data_dir, recipe)
    if not (Path(found.data_dir) / "dataset_info.json").exists():
        raise FileNotFoundError(
            f"no sample data set in {found.data_dir}: make it by `a2inet prepare --config=configs/sample.py`"
        )
    return list(found.as_data_source(split="train"))
