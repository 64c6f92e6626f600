import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from a2inet_jax.errors import StoreError
from a2inet_jax.features.export import export
from a2inet_jax.features.store import Store
from tests.store_inputs import RECIPE, features


def make_store(folder: Path, names: str) -> Store:
    store = Store(folder, RECIPE)
    for number, name in enumerate(names):
        store.write(name, features(seed=number, frames=number + 1), "1000 bytes")
    return store


def ignore(*_: Any) -> None:
    pass


def read(out: Path) -> tuple[dict[str, list[str]], dict[str, dict[str, Any]], Any]:
    """Return the ids of each split, the records, and the metadata."""
    builder = tfds.builder_from_directory(out)
    assert builder.info.name == "features"
    records: dict[str, dict[str, Any]] = {}
    ids: dict[str, list[str]] = {}
    for split, source in builder.as_data_source().items():
        for record in source:
            video_id = record["video_id"]
            video_id = video_id.decode() if isinstance(video_id, bytes) else video_id
            ids.setdefault(split, []).append(video_id)
            records[video_id] = record
    return ids, records, builder.info.metadata


@pytest.mark.parametrize(("limit", "splits"), [(1 << 29, 1), (5000, 4), (1, 7)])
def test_tfds_reads_an_exported_store(tmp_path: Path, limit: int, splits: int) -> None:
    store = make_store(tmp_path / "store", "gfedcba")
    calls: list[tuple[str, int, int]] = []
    out = tmp_path / "new" / "set"
    assert export(store, out, lambda *call: calls.append(call), limit) == splits
    ids, records, metadata = read(out)
    assert sorted(ids) == [f"part_{number:03d}" for number in range(splits)]
    assert [name for split in sorted(ids) for name in sorted(ids[split])] == list("abcdefg")
    for name in "abcdefg":
        ours = store.read(name)
        for field in dataclasses.fields(ours):
            expected, found = getattr(ours, field.name), records[name][field.name]
            assert found.dtype == expected.dtype
            assert found.shape == expected.shape
            assert found.tobytes() == np.ascontiguousarray(expected).tobytes()
    assert metadata["recipe"] == RECIPE.as_dict()
    assert metadata["fingerprint"] == RECIPE.fingerprint()
    assert calls[-1] == ("g", 7, 7)
    assert [path.name for path in out.parent.iterdir()] == ["set"]  # no temporary folder


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "set"
    out.mkdir()
    (out / "mine").touch()
    with pytest.raises(StoreError, match="set exists already: name another"):
        export(make_store(tmp_path / "store", "ab"), out, ignore)
    assert [path.name for path in out.iterdir()] == ["mine"]


def test_nothing_is_left_after_a_damaged_record(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", "ab")
    content = bytearray(store.path("b").read_bytes())
    content[-1] ^= 1
    store.path("b").write_bytes(content)
    with pytest.raises(StoreError, match="SHA-256 differs: run `a2inet store repair`"):
        export(store, tmp_path / "set", ignore)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_empty_stores_and_differing_widths_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", RECIPE)
    with pytest.raises(StoreError, match="the store is empty"):
        export(store, tmp_path / "set", ignore)
    store.write("a", features(), "1 byte")
    store.write(
        "b", dataclasses.replace(features(), quality=np.zeros((5, 7), np.float16)), "1 byte"
    )
    with pytest.raises(StoreError, match="can't be in one data set"):
        export(store, tmp_path / "set", ignore)


def test_an_output_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", "a")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file cannot be written"):
        export(store, tmp_path / "file" / "set", ignore)
