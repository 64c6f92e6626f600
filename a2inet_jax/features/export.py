"""Export of a store as a TFDS data set of array_record files, written without TensorFlow."""

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

from a2inet_jax.errors import StoreError
from a2inet_jax.features.store import Record, Store
from a2inet_jax.features.store_check import check
from a2inet_jax.files import FolderError

# Without TensorFlow, TFDS fails for splits of more than 1000 MiB. It holds a split in memory while it writes
# it, so most splits are kept well below.
SPLIT_BYTES = 512 << 20
_MAX_SPLIT_BYTES = 990 << 20
# Bytes of a record beside its arrays: names, and lengths of the fields.
_OVERHEAD_BYTES = 1024
_DESCRIPTION = """
Features of videos, frame by frame, from two frozen networks; `metadata.json` says which, and how frames were
chosen. Row t of `quality` and of `semantic` describes frame `frame_index[t]`, shown at `timestamps[t]`
seconds. The videos are in alphabetical order of their ids over the splits, which are parts of one set.
"""


class _FeaturesBuilder(tfds.core.GeneratorBasedBuilder):
    """A TFDS builder that writes the records of a store into several splits."""

    # The name of the data set and of its files.
    name = "features"

    VERSION = tfds.core.Version("1.0.0")

    def __init__(
        self,
        store: Store,
        records_of_splits: Sequence[Sequence[Record]],
        on_progress: Callable[[str, int, int], None],
        data_dir: Path,
        silence: contextlib.ExitStack,
    ) -> None:
        """Prepare the export; `download_and_prepare` writes it.

        Args:
            store: The store to export.
            records_of_splits: The records of each split.
            on_progress: Called with (video id, videos done, videos in all).
            data_dir: Folder in which TFDS makes two levels of folders.
            silence: A stack that silences standard output, and is closed while records are written.
        """
        self._store = store
        self._records_of_splits = records_of_splits
        self._on_progress = on_progress
        self._silence = silence
        super().__init__(data_dir=str(data_dir), file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        widths = self._records_of_splits[0][0].widths

        def array(shape: tuple[int | None, ...], dtype: type[np.generic]) -> tfds.features.Tensor:
            # Without this encoding TFDS reads number by number, which takes three times as long.
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
        total = sum(len(records) for records in self._records_of_splits)
        splits = {}
        done = 0
        for number, records in enumerate(self._records_of_splits):
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
        store: The store to export.
        out: Folder of the data set, which must not exist; it is written whole or not at all.
        on_progress: Called with (video id, videos done, videos in all).
        split_bytes: Largest size of a split, unless it is of a single video.

    Returns:
        Number of splits.

    Raises:
        StoreError: The folder exists, the store is empty, one of its files is damaged, its videos
            differ in the widths of their features, or a video is too large.
        OSError: The folder cannot be written.
    """
    if out.exists() or out.is_symlink():
        raise StoreError(f"{out} exists already: name another folder, or remove it")
    records_of_splits = _split(store.manifest(), split_bytes)
    tfds.disable_progress_bar()
    temporary = out.parent / f".{out.name}.{uuid.uuid4().hex}.part"
    try:
        temporary.mkdir(parents=True)
        with (
            tempfile.TemporaryDirectory(prefix="a2inet-") as downloads,
            contextlib.ExitStack() as silence,
        ):
            # TFDS prints messages about a "download" before and after the work.
            silence.enter_context(contextlib.redirect_stdout(io.StringIO()))
            builder = _FeaturesBuilder(store, records_of_splits, on_progress, temporary, silence)
            builder.download_and_prepare(download_dir=downloads)
        Path(builder.data_path).rename(out)
    except OSError as error:
        if error.filename and Path(error.filename).is_relative_to(store.folder):
            raise
        raise FolderError(out.parent, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return len(records_of_splits)


def _split(records: Sequence[Record], split_bytes: int) -> list[list[Record]]:
    if not records:
        raise StoreError("there is nothing to export: the store is empty")
    splits: list[list[Record]] = []
    free_bytes = 0
    for record in records:
        if record.widths != records[0].widths:
            raise StoreError(
                f"{record.path} has features of widths {record.widths}, {records[0].path} of "
                f"{records[0].widths}: they can't be in one data set"
            )
        size = record.size + _OVERHEAD_BYTES
        if size > _MAX_SPLIT_BYTES:
            raise StoreError(
                f"{record.path} has {record.size >> 20} MB, and a data set takes "
                f"{_MAX_SPLIT_BYTES >> 20} MB of a video at most: leave the video out"
            )
        if size > free_bytes:
            splits.append([])
            free_bytes = split_bytes
        splits[-1].append(record)
        free_bytes -= size
    return splits
