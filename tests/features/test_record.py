import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from a2inet_jax.errors import StoreError, VersionError
from a2inet_jax.features import record
from a2inet_jax.features.store import Store
from tests.store_inputs import RECIPE, features


def write_file(folder: Path, **changes: Any) -> Path:
    """Write a file whose checksums are right, whatever its arrays are."""
    store = Store(folder, RECIPE)
    store.write("v", dataclasses.replace(features(), **changes), "1000 bytes")
    return store.path("v")


def rewrite(path: Path, removed: str = "", **changes: str) -> None:
    """Change values of a file's header, or remove one."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    fields = json.loads(header["__metadata__"]["record"]) | changes
    header["__metadata__"]["record"] = json.dumps({k: v for k, v in fields.items() if k != removed})
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[end:])


def test_a_good_file_has_no_problem(tmp_path: Path) -> None:
    assert record.check(write_file(tmp_path)) == record.Finding(write_file(tmp_path))
    one = features(frames=1)
    assert record.check(write_file(tmp_path, **vars(one))).problem == ""
    # Frames may have equal timestamps.
    assert record.check(write_file(tmp_path, timestamps=np.zeros(5))).problem == ""


LAYOUTS = [
    ({"features": np.zeros((5, 6), np.float32)}, "features of type F32, not F16"),
    ({"timestamps": np.zeros(5, np.float32)}, "timestamps of type F32, not F64"),
    ({"frame_index": np.arange(5)}, "frame_index of type I64, not I32"),
    ({"features": np.zeros(5, np.float16)}, "features of shape"),
    ({"features": np.zeros((4, 6), np.float16)}, "4 rows of features"),
    ({"timestamps": np.zeros(6)}, "6 rows of timestamps"),
    (vars(features(frames=0)), "0 rows of features"),
    ({"features": np.zeros((5, 7), np.float16)}, "7 features a frame, not the 6 of good"),
    (vars(features(frames=17)), "17 frames, more than the 16 of its recipe"),
]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        *LAYOUTS,
        ({"features": np.full((5, 6), np.inf, np.float16)}, "features that are not finite"),
        ({"features": np.full((5, 6), np.nan, np.float16)}, "features that are not finite"),
        ({"timestamps": np.array([0, 1, 2, 3, np.nan])}, "timestamps that are not finite"),
        ({"timestamps": np.array([0.0, 1, 2, 1, 3])}, "timestamps that do not ascend"),
        ({"frame_index": np.array([0, 1, 1, 2, 3], np.int32)}, "frame_index that does not ascend"),
        ({"frame_index": np.arange(-1, 4, dtype=np.int32)}, "frame_index that does not ascend"),
    ],
)
def test_wrong_arrays_are_reported(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    finding = record.check(write_file(tmp_path, **changes))
    assert problem in finding.problem
    assert finding.damaged


@pytest.mark.parametrize(("changes", "problem"), LAYOUTS)
def test_arrays_that_the_recipe_cannot_give_are_not_read(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    path = write_file(tmp_path, **changes)
    store = Store(tmp_path, RECIPE)
    for use in (store.record, store.read, lambda _: store.manifest()):
        with pytest.raises(StoreError, match=problem) as caught:
            use("v")
        assert str(caught.value).startswith(f"{path} holds ")
        assert str(caught.value).endswith(": remove it and run `a2inet extract`")


def test_another_set_of_arrays_is_reported(tmp_path: Path) -> None:
    path = write_file(tmp_path)
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))["__metadata__"]
    save_file({**load_file(path), "more": np.zeros(3)}, path, header)
    assert "holds the arrays" in record.check(path).problem


def test_a_wrong_checksum_of_the_frames_is_reported(tmp_path: Path) -> None:
    path = write_file(tmp_path)
    rewrite(path, frames_sha256="0" * 64)
    assert "other frames than its header says" in record.check(path).problem


def test_every_flipped_bit_of_the_arrays_is_reported(tmp_path: Path) -> None:
    path = write_file(tmp_path)
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    for index in range(start, len(whole)):
        path.write_bytes(whole[:index] + bytes([whole[index] ^ 1]) + whole[index + 1 :])
        assert "SHA-256" in record.check(path).problem


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_truncated_files_are_reported(tmp_path: Path, keep: int) -> None:
    path = write_file(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    finding = record.check(path)
    assert "is damaged or not a feature file" in finding.problem
    assert finding.damaged


def test_a_wrong_name_is_reported_and_the_file_stays(tmp_path: Path) -> None:
    path = write_file(tmp_path)
    other = path.rename(Store(tmp_path, RECIPE).path("w"))
    finding = record.check(other)
    assert finding.problem == f"holds the features that belong in {path.parent.name}/{path.name}"
    assert not finding.damaged
    assert not record.remove(finding)


def test_a_file_in_the_store_of_another_recipe_is_reported_and_stays(tmp_path: Path) -> None:
    path = write_file(tmp_path)
    other = Store(tmp_path, dataclasses.replace(RECIPE, version=0))
    other.folder.mkdir()
    finding = record.check(path.rename(other.path("v")))
    assert finding.problem == f"holds the features that belong in {path.parent.name}/{path.name}"
    assert not record.remove(finding)


@pytest.mark.parametrize("part", ["record", "recipe", "old"])
def test_files_of_another_version_are_never_removed(tmp_path: Path, part: str) -> None:
    path = write_file(tmp_path)
    if part == "record":
        rewrite(path, removed="source")
    elif part == "recipe":
        rewrite(path, recipe=json.dumps(RECIPE.as_dict() | {"colour": "new"}))
    else:
        # The features of two networks in one file.
        arrays = {"quality": np.zeros((5, 6), np.float16), "semantic": np.zeros((5, 4), np.float16)}
        fields = {"video_id": "v", "recipe": json.dumps({"quality": "good", "sampling": {}})}
        save_file(arrays, path, {"record": json.dumps(fields)})
    finding = record.check(path)
    assert "another version" in finding.problem
    assert not finding.damaged
    assert not record.remove(finding)
    assert path.exists()
    with pytest.raises(VersionError, match="take another folder, or move it away"):
        Store(tmp_path, RECIPE).read("v")


def test_files_of_another_program_are_never_removed(tmp_path: Path) -> None:
    path = Store(tmp_path, RECIPE).path("v")
    path.parent.mkdir(parents=True)
    save_file({"weights": np.ones(3, np.float32)}, path)
    finding = record.check(path)
    assert finding.problem == "is no feature file: move it away"
    assert not record.remove(finding)
    assert path.exists()


def test_an_unreadable_file_is_not_damaged(tmp_path: Path) -> None:
    path = Store(tmp_path, RECIPE).path("v")
    path.mkdir(parents=True)
    finding = record.check(path)
    assert "can't be read (Is a directory)" in finding.problem
    assert not finding.damaged
    assert not record.remove(finding)
    assert path.exists()


def test_a_file_extracted_again_in_the_meantime_stays(tmp_path: Path) -> None:
    path = write_file(tmp_path)
    path.write_bytes(b"")
    finding = record.check(path)
    write_file(tmp_path)
    assert not record.remove(finding)
    path.write_bytes(b"")
    assert record.remove(finding)
    assert not path.exists()
