import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow_datasets as tfds

from a2inet_jax.errors import StoreError
from a2inet_jax.features.export import export
from a2inet_jax.features.recipe import Recipe
from a2inet_jax.features.store import Store
from tests.store_inputs import RECIPE, RECIPES, SEMANTIC_RECIPE, features

FORMATS = ("tfds", "parquet", "npz")


def make_store(folder: Path, names: str, recipe: Recipe = RECIPE) -> Store:
    store = Store(folder, recipe)
    for number, name in enumerate(names):
        store.write(name, features(number, number + 1, recipe.width), "1000 bytes")
    return store


def ignore(*_: Any) -> None:
    pass


def read_tfds(out: Path) -> tuple[dict[str, list[str]], dict[str, dict[str, Any]], Any]:
    """Return the ids of each split, the records, and the recipes."""
    builder = tfds.builder_from_directory(out)
    assert builder.info.name == "features"
    records: dict[str, dict[str, Any]] = {}
    ids: dict[str, list[str]] = {}
    for split, source in builder.as_data_source().items():
        for record in source:
            video_id = record.pop("video_id")
            video_id = video_id.decode() if isinstance(video_id, bytes) else video_id
            ids.setdefault(split, []).append(video_id)
            records[video_id] = record
    return ids, records, builder.info.metadata["recipes"]


def read_parquet(out: Path) -> tuple[dict[str, list[str]], dict[str, dict[str, Any]], Any]:
    """Return the ids of each file, the records, and the recipes."""
    records: dict[str, dict[str, Any]] = {}
    ids: dict[str, list[str]] = {}
    for path in sorted(out.iterdir()):
        table = pq.read_table(path)
        ids[path.stem] = list(dict.fromkeys(table["video_id"].to_pylist()))
        for video_id in ids[path.stem]:
            rows = table.filter(np.array(table["video_id"].to_pylist()) == video_id)
            record = records[video_id] = {}
            for name in rows.column_names[1:]:
                column = rows[name].combine_chunks()
                is_list = name not in ("frame_index", "timestamps")
                flat = (column.flatten() if is_list else column).to_numpy(zero_copy_only=False)
                record[name] = flat.reshape(len(rows), -1) if is_list else flat
    assert pq.read_table(out).num_rows == sum(len(each["timestamps"]) for each in records.values())
    return ids, records, json.loads(table.schema.metadata[b"recipes"])


def read_npz(out: Path) -> tuple[dict[str, list[str]], dict[str, dict[str, Any]], Any]:
    """Return the ids of each file, the records, and the recipes."""
    records: dict[str, dict[str, Any]] = {}
    ids: dict[str, list[str]] = {}
    for path in out.iterdir():
        with np.load(path) as arrays:
            record = dict(arrays)
        recipes = json.loads(str(record.pop("recipes")))
        ids[path.stem] = [str(record.pop("video_id"))]
        records[ids[path.stem][0]] = record
    return ids, records, recipes


READERS = {"tfds": read_tfds, "parquet": read_parquet, "npz": read_npz}


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert found.tobytes() == np.ascontiguousarray(expected).tobytes()


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize(("limit", "splits"), [(1 << 29, 1), (5000, 4), (1, 7)])
def test_an_exported_store_is_read_back(
    tmp_path: Path, file_format: str, limit: int, splits: int
) -> None:
    store = make_store(tmp_path / "store", "gfedcba")
    calls: list[tuple[str, int, int]] = []
    out = tmp_path / "new" / "set"
    number = export([store], out, file_format, lambda *call: calls.append(call), limit)
    assert number == (7 if file_format == "npz" else splits)
    ids, records, recipes = READERS[file_format](out)
    names = [f"part_{number:03d}" for number in range(splits)]
    assert sorted(ids) == (list("abcdefg") if file_format == "npz" else names)
    assert [name for split in sorted(ids) for name in sorted(ids[split])] == list("abcdefg")
    for name in "abcdefg":
        ours = vars(store.read(name))
        assert records[name].keys() == ours.keys()
        for field, expected in ours.items():
            assert_same(records[name][field], expected)
    assert recipes == {"features": RECIPE.as_dict()}
    assert calls[-1] == ("g", 7, 7)
    assert [path.name for path in out.parent.iterdir()] == ["set"]  # no temporary folder


@pytest.mark.parametrize("file_format", FORMATS)
def test_stores_of_the_same_frames_are_exported_together(tmp_path: Path, file_format: str) -> None:
    stores = [make_store(tmp_path, "ab", recipe) for recipe in RECIPES.values()]
    export(stores, tmp_path / "set", file_format, ignore)
    _, records, recipes = READERS[file_format](tmp_path / "set")
    assert recipes == {"good": RECIPE.as_dict(), "better": SEMANTIC_RECIPE.as_dict()}
    for name in "ab":
        assert records[name].keys() == {"good", "better", "frame_index", "timestamps"}
        for column, store in zip(("good", "better"), stores, strict=True):
            assert_same(records[name][column], store.read(name).features)
        assert_same(records[name]["frame_index"], store.read(name).frame_index)
        assert_same(records[name]["timestamps"], store.read(name).timestamps)


def test_stores_of_one_backbone_have_columns_of_their_own(tmp_path: Path) -> None:
    recipes = [RECIPE, Recipe("good", "other", "none", 6)]
    stores = [make_store(tmp_path, "a", recipe) for recipe in recipes]
    export(stores, tmp_path / "set", "npz", ignore)
    assert list(read_npz(tmp_path / "set")[2]) == [recipe.folder_name() for recipe in recipes]


def test_stores_of_different_videos_or_frames_are_refused(tmp_path: Path) -> None:
    one, other = make_store(tmp_path, "ab"), make_store(tmp_path, "a", SEMANTIC_RECIPE)
    with pytest.raises(StoreError, match="different videos, 'b' the first"):
        export([one, other], tmp_path / "set", "npz", ignore)
    other.write("b", features(frames=7, width=4), "1000 bytes")
    with pytest.raises(StoreError, match="different frames of video 'b'"):
        export([one, other], tmp_path / "set", "npz", ignore)
    assert not (tmp_path / "set").exists()


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "set"
    out.mkdir()
    (out / "mine").touch()
    with pytest.raises(StoreError, match="set exists already: name another"):
        export([make_store(tmp_path / "store", "ab")], out, "tfds", ignore)
    assert [path.name for path in out.iterdir()] == ["mine"]


@pytest.mark.parametrize("file_format", FORMATS)
def test_nothing_is_left_after_a_damaged_record(tmp_path: Path, file_format: str) -> None:
    store = make_store(tmp_path / "store", "ab")
    content = bytearray(store.path("b").read_bytes())
    content[-1] ^= 1
    store.path("b").write_bytes(content)
    with pytest.raises(StoreError, match="SHA-256 differs: run `a2inet store repair`"):
        export([store], tmp_path / "set", file_format, ignore)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_empty_stores_and_differing_widths_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", RECIPE)
    with pytest.raises(StoreError, match="the store is empty"):
        export([store], tmp_path / "set", "tfds", ignore)
    store.write("a", features(), "1 byte")
    store.write("b", features(width=7), "1 byte")
    with pytest.raises(StoreError, match="7 features a frame, not the 6 of good"):
        export([store], tmp_path / "set", "tfds", ignore)


@pytest.mark.parametrize("file_format", FORMATS)
def test_an_output_that_cannot_be_written_is_reported(tmp_path: Path, file_format: str) -> None:
    store = make_store(tmp_path / "store", "a")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file cannot be written"):
        export([store], tmp_path / "file" / "set", file_format, ignore)
