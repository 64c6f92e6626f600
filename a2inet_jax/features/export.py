"""Export of stores as a TFDS data set of array_record files, as Parquet, or as NumPy's npz files."""

import contextlib
import io
import itertools
import json
import shutil
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from a2inet_jax.errors import StoreError
from a2inet_jax.features.record import check, file_name
from a2inet_jax.features.store import Store, matching_records
from a2inet_jax.files import FolderError

# Without TensorFlow, TFDS fails for splits of more than 1000 MiB. It holds a split in memory while it writes
# it, so most splits are kept well below.
SPLIT_BYTES = 512 << 20
_MAX_SPLIT_BYTES = 990 << 20
# Bytes of a record beside its arrays: names, and lengths of the fields.
_OVERHEAD_BYTES = 1024
_KEYS = ("video_id", "frame_index", "timestamps")
_DESCRIPTION = """
Features of videos, frame by frame, from frozen networks; `metadata.json` says which, and how frames were
chosen. Row t of each describes frame `frame_index[t]`, shown at `timestamps[t]` seconds. The videos are in
alphabetical order of their ids over the splits, which are parts of one set.
"""

# Called with ids of videos; yields each with its arrays.
Videos = Callable[[Sequence[str]], Iterator[tuple[str, dict[str, np.ndarray]]]]


class _FeaturesBuilder(tfds.core.GeneratorBasedBuilder):
    """A TFDS builder that writes videos into several splits."""

    # The name of the data set and of its files.
    name = "features"

    VERSION = tfds.core.Version("1.0.0")

    def __init__(
        self,
        columns: Mapping[str, Store],
        splits: Sequence[Sequence[str]],
        videos: Videos,
        data_dir: Path,
    ) -> None:
        """Prepare the export; `download_and_prepare` writes it into two levels of folders in `data_dir`."""
        self._columns, self._splits, self._videos = columns, splits, videos
        super().__init__(data_dir=str(data_dir), file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        def array(shape: tuple[int | None, ...], dtype: type[np.generic]) -> tfds.features.Tensor:
            # Without this encoding TFDS reads number by number, which takes three times as long.
            return tfds.features.Tensor(shape=shape, dtype=dtype, encoding="bytes")

        features = {
            "video_id": tfds.features.Text(),
            **{
                name: array((None, store.recipe.width), np.float16)
                for name, store in self._columns.items()
            },
            "frame_index": array((None,), np.int32),
            "timestamps": array((None,), np.float64),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=_DESCRIPTION,
            features=tfds.features.FeaturesDict(features),
            metadata=tfds.core.MetadataDict(recipes=_recipes(self._columns)),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        del dl_manager
        return {
            f"part_{number:03d}": self._generate_examples(video_ids)
            for number, video_ids in enumerate(self._splits)
        }

    def _generate_examples(self, video_ids: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        for video_id, arrays in self._videos(video_ids):
            yield video_id, {"video_id": video_id, **arrays}


def export(
    stores: Sequence[Store],
    out: Path,
    file_format: str,
    on_progress: Callable[[str, int, int], None],
    split_bytes: int = SPLIT_BYTES,
) -> int:
    """Write stores of the same videos and frames in another format.

    Features are called after their backbone, or `features` if there is a single store. "tfds" is a data set
    that `tfds.builder_from_directory` reads; "parquet" has a row for each frame, "npz" a file for each video.

    Args:
        stores: One or several.
        out: Folder that must not exist; it is written whole or not at all.
        file_format: "tfds", "parquet" or "npz".
        on_progress: Called with (video id, videos done, videos in all).
        split_bytes: Largest size of a split or Parquet file, unless it is of a single video.

    Returns:
        Number of splits or files.

    Raises:
        StoreError: The folder exists, a store is empty, a file is damaged, the stores differ in videos or
            frames, or a video is too large for TFDS.
        OSError: The folder cannot be written.
    """
    if out.exists() or out.is_symlink():
        raise StoreError(f"{out} exists already: name another folder, or remove it")
    write = {"tfds": _write_tfds, "parquet": _write_parquet, "npz": _write_npz}[file_format]
    columns = _columns(stores)
    sizes = _sizes(stores)
    splits = _split(sizes, split_bytes, _MAX_SPLIT_BYTES if file_format == "tfds" else None)
    done = itertools.count(1)

    def videos(video_ids: Sequence[str]) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
        for video_id in video_ids:
            yield video_id, _arrays(columns, video_id)
            on_progress(video_id, next(done), len(sizes))

    temporary = out.parent / f".{out.name}.{uuid.uuid4().hex}.part"
    try:
        temporary.mkdir(parents=True)
        written = write(temporary, columns, splits, videos)
        written.rename(out)
    except OSError as error:
        if error.filename and any(
            Path(error.filename).is_relative_to(store.folder) for store in stores
        ):
            raise
        raise FolderError(out.parent, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return len(sizes) if file_format == "npz" else len(splits)


def _write_tfds(
    folder: Path, columns: Mapping[str, Store], splits: Sequence[Sequence[str]], videos: Videos
) -> Path:
    tfds.disable_progress_bar()
    with (
        tempfile.TemporaryDirectory(prefix="a2inet-") as downloads,
        # TFDS prints messages about a "download".
        contextlib.redirect_stdout(io.StringIO()),
    ):
        builder = _FeaturesBuilder(columns, splits, videos, folder)
        builder.download_and_prepare(download_dir=downloads)
    return Path(builder.data_path)


def _write_parquet(
    folder: Path, columns: Mapping[str, Store], splits: Sequence[Sequence[str]], videos: Videos
) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    widths = {name: store.recipe.width for name, store in columns.items()}
    keys = zip(_KEYS, (pa.string(), pa.int32(), pa.float64()))
    lists = ((name, pa.list_(pa.float16(), width)) for name, width in widths.items())
    schema = pa.schema([*keys, *lists], {"recipes": json.dumps(_recipes(columns))})
    for number, video_ids in enumerate(splits):
        with pq.ParquetWriter(folder / f"part_{number:03d}.parquet", schema) as writer:
            for video_id, arrays in videos(video_ids):
                table = {name: pa.array(array.ravel()) for name, array in arrays.items()}
                for name, width in widths.items():
                    table[name] = pa.FixedSizeListArray.from_arrays(table[name], width)
                table["video_id"] = pa.array([video_id] * len(arrays["frame_index"]))
                writer.write_table(pa.table(table, schema))
    return folder


def _write_npz(
    folder: Path, columns: Mapping[str, Store], splits: Sequence[Sequence[str]], videos: Videos
) -> Path:
    recipes = np.array(json.dumps(_recipes(columns)))
    for video_ids in splits:
        for video_id, arrays in videos(video_ids):
            path = folder / Path(file_name(video_id)).with_suffix(".npz")
            named: dict[str, Any] = {**arrays, "video_id": np.array(video_id), "recipes": recipes}
            np.savez(path, **named)
    return folder


def _columns(stores: Sequence[Store]) -> dict[str, Store]:
    """Return the stores by the names of their features."""
    if len(stores) == 1:
        return {"features": stores[0]}
    names = [store.recipe.folder_name().rpartition("-")[0] for store in stores]
    taken = Counter([*names, *_KEYS])
    return {
        name if taken[name] == 1 else store.recipe.folder_name(): store
        for name, store in zip(names, stores, strict=True)
    }


def _recipes(columns: Mapping[str, Store]) -> dict[str, Any]:
    return {name: store.recipe.as_dict() for name, store in columns.items()}


def _arrays(columns: Mapping[str, Store], video_id: str) -> dict[str, np.ndarray]:
    """Read the features of a video, and the frames that they share."""
    arrays = {}
    for name, store in columns.items():
        path = store.path(video_id)
        if problem := check(path).problem:
            raise StoreError(f"{path} {problem}: run `a2inet store repair`, then `a2inet extract`")
        video = store.read(video_id, verify=False)
        arrays[name] = video.features
    return {**arrays, "frame_index": video.frame_index, "timestamps": video.timestamps}


def _sizes(stores: Sequence[Store]) -> dict[str, int]:
    """Return the bytes of each video, in alphabetical order of the ids."""
    if not (video_ids := [record.video_id for record in stores[0].manifest()]):
        raise StoreError("there is nothing to export: the store is empty")
    for store in stores[1:]:
        other_ids = {record.video_id for record in store.manifest()}
        if differing := sorted(other_ids.symmetric_difference(video_ids)):
            raise StoreError(
                f"{stores[0].folder} and {store.folder} hold different videos, {differing[0]!r} the first: "
                "run `a2inet extract`, or export them one by one"
            )
    return {
        video_id: sum(record.size for record in matching_records(stores, video_id))
        for video_id in video_ids
    }


def _split(sizes: Mapping[str, int], split_bytes: int, largest: int | None) -> list[list[str]]:
    splits: list[list[str]] = []
    free_bytes = 0
    for video_id, size in sizes.items():
        if largest and size + _OVERHEAD_BYTES > largest:
            raise StoreError(
                f"the features of {video_id!r} have {size >> 20} MB, and a TFDS data set takes "
                f"{largest >> 20} MB of a video at most: leave the video out"
            )
        if size + _OVERHEAD_BYTES > free_bytes:
            splits.append([])
            free_bytes = split_bytes
        splits[-1].append(video_id)
        free_bytes -= size + _OVERHEAD_BYTES
    return splits
