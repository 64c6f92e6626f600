"""A store as a TFDS data set, written without TensorFlow: for tools that read array_record files."""

import contextlib
import io
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from a2inet_jax.atomic import FolderError
from a2inet_jax.errors import StoreError
from a2inet_jax.features.store import Record, Store
from a2inet_jax.features.store_check import check

# Without TensorFlow, TFDS fails for a split of more than 1000 MiB. It holds a split in memory while it
# writes it, so splits stay well below.
SPLIT_BYTES = 512 << 20
_LARGEST = 990 << 20
# What a record takes beside its arrays: names, and lengths of the fields.
_OVERHEAD = 1024
_DESCRIPTION = """
Features of videos, frame by frame, from two frozen networks; `metadata.json` says which, and how frames were
chosen. Row t of `quality` and of `semantic` describes frame `frame_index[t]`, shown at `timestamps[t]`
seconds. The videos are in alphabetical order of their ids over the splits, which are parts of one set.
"""


class Features(tfds.core.GeneratorBasedBuilder):
    """The records of a store, in several splits."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(
        self,
        store: Store,
        plan: Sequence[Sequence[Record]],
        on_progress: Callable[[str, int, int], None],
        data_dir: Path,
        silence: contextlib.ExitStack,
    ) -> None:
        """Nothing is written yet.

        Args:
          store: what is exported.
          plan: the records of each split.
          on_progress: called with (video id, videos done, videos in all).
          data_dir: TFDS makes two levels of folders in it.
          silence: of standard output; it is lifted while records are written.
        """
        self._store = store
        self._plan = plan
        self._on_progress = on_progress
        self._silence = silence
        super().__init__(data_dir=str(data_dir), file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        widths = self._plan[0][0].widths

        def array(shape: tuple[int | None, ...], dtype: type[np.generic]) -> tfds.features.Tensor:
            # Number after number, without an encoding, reading takes three times as long.
            return tfds.features.Tensor(shape=shape, dtype=dtype, encoding="bytes")

        return tfds.core.DatasetInfo(
            builder=self,
            description=_DESCRIPTION,
            features=tfds.features.FeaturesDict(
                {
                    "video_id": tfds.features.Text(),
                    "quality": array((None, widths["quality"]), np.float16),
                    "semantic": array((None, widths["semantic"]), np.float16),
                    "frame_index": array((None,), np.int32),
                    "timestamps": array((None,), np.float64),
                }
            ),
            metadata=tfds.core.MetadataDict(
                recipe=self._store.recipe.as_dict(), fingerprint=self._store.recipe.fingerprint()
            ),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        del dl_manager
        total = sum(len(records) for records in self._plan)
        splits = {}
        done = 0
        for number, records in enumerate(self._plan):
            splits[f"part_{number:03d}"] = self._generate_examples(records, done, total)
            done += len(records)
        self._silence.close()
        return splits

    def _generate_examples(
        self, records: Sequence[Record], done: int, total: int
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        for number, record in enumerate(records, 1):
            if problem := check(record.path).problem:
                raise StoreError(
                    f"{record.path} {problem}: run `a2inet store repair`, then `a2inet extract`"
                )
            features = self._store.read(record.video_id)
            yield record.video_id, {"video_id": record.video_id, **vars(features)}
            self._on_progress(record.video_id, done + number, total)
        if done + len(records) == total:
            self._silence.enter_context(contextlib.redirect_stdout(io.StringIO()))


def export(
    store: Store,
    out: Path,
    on_progress: Callable[[str, int, int], None],
    split_bytes: int = SPLIT_BYTES,
) -> int:
    """Write a store as a data set that `tfds.builder_from_directory` reads.

    Args:
      store: what is exported.
      out: folder of the data set, which is made; it is there whole or not at all.
      on_progress: called with (video id, videos done, videos in all).
      split_bytes: a split holds no more, but for a video that is larger alone.

    Returns:
      Number of splits.

    Raises:
      StoreError: the folder is there already, a file of the store is damaged, the videos differ in their
        features' widths, or one is too large.
      OSError: the folder can't be written.
    """
    if out.exists() or out.is_symlink():
        raise StoreError(f"{out} exists already: name another folder, or remove it")
    plan = _plan(store.manifest(), split_bytes)
    tfds.disable_progress_bar()
    aside = out.parent / f".{out.name}.{uuid.uuid4().hex}.part"
    try:
        aside.mkdir(parents=True)
        with (
            tempfile.TemporaryDirectory(prefix="a2inet-") as downloads,
            contextlib.ExitStack() as silence,
        ):
            # TFDS tells before and after what it "downloads".
            silence.enter_context(contextlib.redirect_stdout(io.StringIO()))
            builder = Features(store, plan, on_progress, aside, silence)
            builder.download_and_prepare(download_dir=downloads)
        Path(builder.data_path).rename(out)
    except OSError as error:
        if error.filename and Path(error.filename).is_relative_to(store.folder):
            raise
        raise FolderError(out.parent, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return len(plan)


def _plan(records: Sequence[Record], split_bytes: int) -> list[list[Record]]:
    if not records:
        raise StoreError("there is nothing to export: the store is empty")
    plan: list[list[Record]] = []
    room = 0
    for record in records:
        if record.widths != records[0].widths:
            raise StoreError(
                f"{record.path} has features of widths {record.widths}, {records[0].path} of "
                f"{records[0].widths}: they can't stand in one data set"
            )
        size = record.size + _OVERHEAD
        if size > _LARGEST:
            raise StoreError(
                f"{record.path} has {record.size >> 20} MB, and a data set takes "
                f"{_LARGEST >> 20} MB of a video at most: leave the video out"
            )
        if size > room:
            plan.append([])
            room = split_bytes
        plan[-1].append(record)
        room -= size
    return plan
