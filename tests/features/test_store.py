import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from a2inet_jax.errors import StoreError, VersionError
from a2inet_jax.features.recipe import Recipe
from a2inet_jax.features.record import VideoFeatures
from a2inet_jax.features.store import Store, find_stores, matching_records
from a2inet_jax.video.sampling import PR, Sampling
from tests.store_inputs import RECIPE, SEMANTIC_RECIPE, assert_equal, features


def test_a_recipe_survives_json() -> None:
    recipe = Recipe("q", "1", "none", 8, PR, dtype="bfloat16")
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert recipe.fingerprint() == Recipe.from_json(recipe.to_json()).fingerprint()
    assert len(recipe.fingerprint()) == 16


def test_every_field_changes_the_fingerprint() -> None:
    others = [
        dataclasses.replace(RECIPE, backbone="x"),
        dataclasses.replace(RECIPE, sha256="x"),
        dataclasses.replace(RECIPE, normalization="x"),
        dataclasses.replace(RECIPE, width=7),
        dataclasses.replace(RECIPE, sampling=Sampling(frames=16, clip_spacing=2)),
        dataclasses.replace(RECIPE, sampling=Sampling(frames=16, seed=1)),
        dataclasses.replace(RECIPE, dtype="bfloat16"),
        dataclasses.replace(RECIPE, version=0),
    ]
    assert len({recipe.fingerprint() for recipe in [RECIPE, *others]}) == 1 + len(others)


@pytest.mark.parametrize("video_id", ["v", "a/b c.mp4", "..", "Ünï·%2F", "-x"])
def test_written_features_are_read(tmp_path: Path, video_id: str) -> None:
    store = Store(tmp_path / "new" / "store", RECIPE)
    assert store.missing([video_id]) == [video_id]
    store.write(video_id, features(), "1000 bytes")
    assert store.path(video_id).parent == store.folder
    assert_equal(store.read(video_id), features())
    assert store.missing(["other", video_id]) == ["other"]
    assert store.record(video_id).source == "1000 bytes"
    assert store.record(video_id).source_sha256 == ""
    store.write(video_id, features(), "1000 bytes", "abc")
    assert store.record(video_id).source_sha256 == "abc"
    assert [record.video_id for record in store.manifest()] == [video_id]


def test_equal_records_are_equal_files(tmp_path: Path) -> None:
    store = Store(tmp_path, RECIPE)
    contents = set()
    for _ in range(5):
        store.write("v", features(), "1000 bytes")
        contents.add(store.path("v").read_bytes())
    assert len(contents) == 1
    store.write("v", features(seed=1), "1000 bytes")
    assert_equal(store.read("v"), features(seed=1))


def test_the_manifest_lists_the_files(tmp_path: Path) -> None:
    store = Store(tmp_path, RECIPE)
    assert store.manifest() == []
    for name, frames in (("b", 7), ("a", 1)):
        store.write(name, features(frames=frames), "1000 bytes")
    records = store.manifest()
    assert [(record.video_id, record.frames) for record in records] == [("a", 1), ("b", 7)]
    assert all(record.size == record.path.stat().st_size for record in records)
    store.path("a").unlink()
    assert [record.video_id for record in store.manifest()] == ["b"]


def test_a_different_recipe_is_refused_with_both_named(tmp_path: Path) -> None:
    store = Store(tmp_path, RECIPE)
    store.write("v", features(), "1000 bytes")
    other = Store(tmp_path, dataclasses.replace(RECIPE, normalization="half"))
    assert other.missing("v") == ["v"]
    other.folder.mkdir()
    store.path("v").rename(other.path("v"))
    for use in (other.read, other.record, lambda _: other.manifest()):
        with pytest.raises(StoreError, match="normalization: half here, none there") as caught:
            use("v")
        assert "move it to the store of its recipe" in str(caught.value)
        assert RECIPE.fingerprint() in str(caught.value)
        assert other.recipe.fingerprint() in str(caught.value)


def test_the_file_of_a_different_video_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path, RECIPE)
    store.write("v", features(), "1000 bytes")
    store.path("v").rename(store.path("w"))
    with pytest.raises(StoreError, match="'v', not of 'w'"):
        store.read("w")


def test_missing_and_damaged_files_say_what_to_do(tmp_path: Path) -> None:
    store = Store(tmp_path, RECIPE)
    with pytest.raises(
        FileNotFoundError, match=r"'v' has no features of .*a2inet extract"
    ) as caught:
        store.read("v")
    # The network is named, not the recipe's hash.
    assert "features of good yet" in str(caught.value)
    assert RECIPE.fingerprint() not in str(caught.value)
    store.write("v", features(), "1000 bytes")
    whole = store.path("v").read_bytes()
    for content in (b"", whole[:-1], whole[: len(whole) // 2], b"x" * 100):
        store.path("v").write_bytes(content)
        with pytest.raises(StoreError, match="remove it and run"):
            store.read("v")


def test_a_failed_write_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    store = Store(tmp_path, RECIPE)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="the disk is full"):
            store.write("v", features(), "1000 bytes")
    assert list(store.folder.iterdir()) == []
    store.write("v", features(), "1000 bytes")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="the disk is full"):
            store.write("v", features(seed=1), "1000 bytes")
    assert_equal(store.read("v"), features())


def test_a_killed_write_leaves_no_feature_file(tmp_path: Path) -> None:
    code = """
import os, signal, sys
from pathlib import Path
import numpy as np
from a2inet_jax.features.recipe import Recipe
from a2inet_jax.features.record import VideoFeatures
from a2inet_jax.features.store import Store
recipe = Recipe.from_json(sys.argv[2])
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
rows = np.zeros((5, 6), np.float16)
record = VideoFeatures(rows, np.arange(5, dtype=np.int32), np.zeros(5))
Store(Path(sys.argv[1]), recipe).write("v", record, "1000 bytes")
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), RECIPE.to_json()])
    assert done.returncode == -9
    store = Store(tmp_path, RECIPE)
    assert len(list(store.folder.iterdir())) == 1  # the temporary file
    assert store.missing(["v"]) == ["v"]
    assert store.manifest() == []
    store.write("v", features(), "1000 bytes")
    assert_equal(store.read("v"), features())
    store.sweep()
    assert list(store.folder.iterdir()) == [store.path("v")]


def test_an_existing_store_takes_the_recipe_of_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path, RECIPE)
    for name in "abc":
        store.write(name, features(), "1000 bytes")
    store.path("a").write_bytes(b"not a feature file")
    monkeypatch.chdir(store.folder)
    (tmp_path / "link").symlink_to(store.folder)
    for folder in (store.folder, Path(), tmp_path / "link"):
        assert Store.existing(folder).recipe == RECIPE
        assert Store.existing(folder).missing("abcd") == ["d"]


def test_a_folder_without_features_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path, RECIPE)
    for folder in (tmp_path, tmp_path / "none", store.folder):
        with pytest.raises(StoreError, match="no good feature file"):
            Store.existing(folder)
    store.folder.mkdir()
    store.path("a").write_bytes(b"not a feature file")
    with pytest.raises(StoreError, match="no good feature file"):
        Store.existing(store.folder)


def test_opening_reads_no_header(tmp_path: Path) -> None:
    store = Store(tmp_path, RECIPE)
    store.folder.mkdir()
    for number in range(20):
        store.path(str(number)).write_bytes(b"")  # reading any header would fail
    again = Store(tmp_path, RECIPE)
    assert again.missing(["7", "20"]) == ["20"]


def test_a_folder_named_for_a_different_recipe_has_no_good_file(tmp_path: Path) -> None:
    store = Store(tmp_path, RECIPE)
    store.write("v", features(), "1000 bytes")
    other = dataclasses.replace(RECIPE, version=0)
    store.folder.rename(tmp_path / other.folder_name())
    with pytest.raises(StoreError, match="no good feature file"):
        Store.existing(tmp_path / other.folder_name())


def test_any_backbone_has_a_store_of_its_own(tmp_path: Path) -> None:
    """Its name need not be in the registry, nor be one that a folder can have."""
    recipe = dataclasses.replace(RECIPE, backbone="mine/of 2026")
    store = Store(tmp_path, recipe)
    store.write("v", features(), "")
    assert store.folder.parent == tmp_path
    assert Store.existing(store.folder).recipe == recipe
    assert find_stores(tmp_path) == [store.folder]


def test_features_with_a_wrong_checksum_are_not_read(tmp_path: Path) -> None:
    store = Store(tmp_path, RECIPE)
    store.write("v", features(), "1000 bytes")
    content = store.path("v").read_bytes()
    store.path("v").write_bytes(content[:-9] + bytes(9))
    with pytest.raises(StoreError, match=r"SHA-256 differs: remove it and run `a2inet extract`"):
        store.read("v")


def test_stores_are_found_in_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty" / f"empty-{'0' * 16}").mkdir(parents=True)
    with pytest.raises(StoreError, match="holds no feature files: name a folder"):
        find_stores(tmp_path)
    with pytest.raises(StoreError, match="is not a folder: name one"):
        find_stores(tmp_path / "none")
    one, other = Store(tmp_path / "b", RECIPE), Store(tmp_path / "a" / "c", SEMANTIC_RECIPE)
    one.write("v", features(), "")
    other.write("v", features(width=4), "")
    assert find_stores(tmp_path) == [other.folder, one.folder]
    assert find_stores(tmp_path / "b") == find_stores(one.folder) == [one.folder]
    monkeypatch.chdir(one.folder)
    assert find_stores(Path()) == [Path()]


def test_a_folder_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "v.0123456789abcdef.safetensors").touch()
    for use in (find_stores, lambda folder: Store(folder, RECIPE)):
        with pytest.raises(VersionError, match=r"earlier version .* take another folder") as caught:
            use(tmp_path)
        assert "v.0123456789abcdef.safetensors" in str(caught.value)


def pair(folder: Path, second: VideoFeatures, sources: tuple[str, str]) -> list[Store]:
    stores = [Store(folder, RECIPE), Store(folder, SEMANTIC_RECIPE)]
    for store, each, source in zip(stores, (features(), second), sources, strict=True):
        store.write("v", each, "1000 bytes", source)
    return stores


@pytest.mark.parametrize("sources", [("", ""), ("a", ""), ("", "a"), ("a", "a")])
def test_stores_of_the_same_frames_match(tmp_path: Path, sources: tuple[str, str]) -> None:
    stores = pair(tmp_path, features(width=4), sources)
    assert [each.recipe for each in matching_records(stores, "v")] == [RECIPE, SEMANTIC_RECIPE]
    with pytest.raises(FileNotFoundError, match="'w' has no features of good"):
        matching_records(stores, "w")


@pytest.mark.parametrize(
    "changes",
    [
        {"frame_index": np.array([0, 3, 6, 9, 13], np.int32)},
        {"timestamps": np.arange(5) / 24},
        vars(features(frames=4, width=4)),
    ],
)
def test_stores_of_different_frames_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    second = dataclasses.replace(features(width=4), **changes)
    stores = pair(tmp_path, second, ("", ""))
    with pytest.raises(StoreError, match=r"different frames of video 'v': remove both") as caught:
        matching_records(stores, "v")
    assert all(str(store.path("v")) in str(caught.value) for store in stores)


def test_stores_of_different_video_files_are_refused(tmp_path: Path) -> None:
    stores = pair(tmp_path, features(width=4), ("a", "b"))
    with pytest.raises(StoreError, match=r"different files of video 'v': remove both"):
        matching_records(stores, "v")
