import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from a2inet_jax.features import store_check
from a2inet_jax.features.store import Store
from tests.store_inputs import RECIPE, features


def write_file(folder: Path, **changes: Any) -> Path:
    store = Store(folder, RECIPE)
    store.write("v", dataclasses.replace(features(), **changes), "1000 bytes")
    return store.path("v")


def test_a_good_file_has_no_problem(tmp_path: Path) -> None:
    assert store_check.check(write_file(tmp_path)) == store_check.Finding(write_file(tmp_path))
    one = features(frames=1)
    assert store_check.check(write_file(tmp_path, **vars(one))).problem == ""
    # Frames may have equal timestamps.
    assert store_check.check(write_file(tmp_path, timestamps=np.zeros(5))).problem == ""


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"quality": np.zeros((5, 6), np.float32)}, "quality of type float32, not float16"),
        ({"timestamps": np.zeros(5, np.float32)}, "timestamps of type float32, not float64"),
        ({"quality": np.zeros(5, np.float16)}, "shapes"),
        ({"semantic": np.zeros((4, 6), np.float16)}, "4 rows of semantic"),
        ({"timestamps": np.zeros(6)}, "6 rows of timestamps"),
        (vars(features(frames=0)), "0 rows of quality"),
        ({"quality": np.full((5, 6), np.inf, np.float16)}, "quality that are not finite"),
        ({"semantic": np.full((5, 6), np.nan, np.float16)}, "semantic that are not finite"),
        ({"timestamps": np.array([0, 1, 2, 3, np.nan])}, "timestamps that are not finite"),
        ({"timestamps": np.array([0.0, 1, 2, 1, 3])}, "timestamps that do not ascend"),
        ({"frame_index": np.array([0, 1, 1, 2, 3], np.int32)}, "frame_index that does not ascend"),
        ({"frame_index": np.arange(-1, 4, dtype=np.int32)}, "frame_index that does not ascend"),
    ],
)
def test_wrong_arrays_are_reported(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    finding = store_check.check(write_file(tmp_path, **changes))
    assert problem in finding.problem
    assert finding.damaged


def test_every_flipped_bit_of_the_arrays_is_reported(tmp_path: Path) -> None:
    path = write_file(tmp_path)
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    for index in range(start, len(whole)):
        path.write_bytes(whole[:index] + bytes([whole[index] ^ 1]) + whole[index + 1 :])
        assert "SHA-256" in store_check.check(path).problem


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_truncated_files_are_reported(tmp_path: Path, keep: int) -> None:
    path = write_file(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    finding = store_check.check(path)
    assert "is damaged or not a feature file" in finding.problem
    assert finding.damaged


def test_a_wrong_name_is_reported_and_the_file_stays(tmp_path: Path) -> None:
    path = write_file(tmp_path)
    other = path.rename(Store(tmp_path, RECIPE).path("w"))
    finding = store_check.check(other)
    assert finding.problem == f"holds the features that belong in {path.name}"
    assert not finding.damaged
    assert not store_check.remove(finding)


@pytest.mark.parametrize("part", ["record", "recipe"])
def test_files_of_another_version_are_never_removed(tmp_path: Path, part: str) -> None:
    path = write_file(tmp_path)
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    record = json.loads(header["__metadata__"]["record"])
    if part == "record":
        del record["source"]
    else:
        record["recipe"] = json.dumps(json.loads(record["recipe"]) | {"colour": "new"})
    header["__metadata__"]["record"] = json.dumps(record)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[end:])
    finding = store_check.check(path)
    assert "another version" in finding.problem
    assert not finding.damaged
    assert not store_check.remove(finding)
    assert path.exists()


def test_an_unreadable_file_is_not_damaged(tmp_path: Path) -> None:
    path = Store(tmp_path, RECIPE).path("v")
    path.mkdir()
    finding = store_check.check(path)
    assert "can't be read (Is a directory)" in finding.problem
    assert not finding.damaged
    assert not store_check.remove(finding)
    assert path.exists()


def test_a_file_extracted_again_in_the_meantime_stays(tmp_path: Path) -> None:
    path = write_file(tmp_path)
    path.write_bytes(b"")
    (finding,) = store_check.check_all([path])
    write_file(tmp_path)
    assert not store_check.remove(finding)
    path.write_bytes(b"")
    assert store_check.remove(finding)
    assert not path.exists()
