import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from a2inet_jax.errors import StoreError
from a2inet_jax.features.recipe import Recipe
from a2inet_jax.features.store import Store
from a2inet_jax.video.sampling import PR, Sampling
from tests.store_inputs import RECIPE, assert_equal, features


def test_a_recipe_survives_json() -> None:
    recipe = Recipe("q", "1", "none", "s", "2", "half", PR, dtype="bfloat16")
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert recipe.fingerprint() == Recipe.from_json(recipe.to_json()).fingerprint()
    assert len(recipe.fingerprint()) == 16


def test_every_field_changes_the_fingerprint() -> None:
    others = [
        dataclasses.replace(RECIPE, quality="x"),
        dataclasses.replace(RECIPE, quality_sha256="x"),
        dataclasses.replace(RECIPE, semantic="x"),
        dataclasses.replace(RECIPE, semantic_sha256="x"),
        dataclasses.replace(RECIPE, quality_normalization="x"),
        dataclasses.replace(RECIPE, semantic_normalization="x"),
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
    assert store.source(video_id) == "1000 bytes"
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
    Store(tmp_path, RECIPE).write("v", features(), "1000 bytes")
    other = dataclasses.replace(RECIPE, semantic="worse")
    with pytest.raises(StoreError, match="semantic: worse here, better there") as caught:
        Store(tmp_path, other)
    assert RECIPE.fingerprint() in str(caught.value)
    assert other.fingerprint() in str(caught.value)
    # A renamed file is refused as well.
    fresh = Store(tmp_path / "fresh", other)
    fresh.folder.mkdir()
    Store(tmp_path, RECIPE).path("v").rename(fresh.path("v"))
    with pytest.raises(StoreError, match="take another folder"):
        fresh.read("v")


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
    # The networks are named, not the recipe's hash.
    assert "good and better" in str(caught.value)
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
    assert list(tmp_path.iterdir()) == []
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
from a2inet_jax.features.store import Store, VideoFeatures
recipe = Recipe.from_json(sys.argv[2])
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
rows = np.zeros((5, 6), np.float16)
record = VideoFeatures(rows, rows, np.arange(5, dtype=np.int32), np.zeros(5))
Store(Path(sys.argv[1]), recipe).write("v", record, "1000 bytes")
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), RECIPE.to_json()])
    assert done.returncode == -9
    assert len(list(tmp_path.iterdir())) == 1  # the temporary file
    store = Store(tmp_path, RECIPE)
    assert store.missing(["v"]) == ["v"]
    assert store.manifest() == []
    store.write("v", features(), "1000 bytes")
    assert_equal(store.read("v"), features())
    store.sweep()
    assert list(tmp_path.iterdir()) == [store.path("v")]


def test_an_existing_store_takes_the_recipe_of_its_files(tmp_path: Path) -> None:
    store = Store(tmp_path, RECIPE)
    for name in "abc":
        store.write(name, features(), "1000 bytes")
    store.path("a").write_bytes(b"not a feature file")
    assert Store.existing(tmp_path).recipe == RECIPE
    assert Store.existing(tmp_path).missing("abcd") == ["d"]


def test_a_folder_without_features_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(StoreError, match="no good feature file"):
            Store.existing(folder)
    Store(tmp_path, RECIPE).path("a").write_bytes(b"not a feature file")
    with pytest.raises(StoreError, match="no good feature file"):
        Store.existing(tmp_path)


def test_a_store_of_two_recipes_is_refused_with_both_named(tmp_path: Path) -> None:
    other = Store(tmp_path / "other", dataclasses.replace(RECIPE, semantic="worse"))
    other.write("w", features(), "1000 bytes")
    Store(tmp_path, RECIPE).write("v", features(), "1000 bytes")
    other.path("w").rename(tmp_path / other.path("w").name)
    with pytest.raises(StoreError, match="2 recipes") as caught:
        Store.existing(tmp_path)
    assert RECIPE.fingerprint() in str(caught.value)
    assert other.recipe.fingerprint() in str(caught.value)


def test_opening_reads_no_header(tmp_path: Path) -> None:
    store = Store(tmp_path, RECIPE)
    for number in range(20):
        store.path(str(number)).write_bytes(b"")  # reading any header would fail
    again = Store(tmp_path, RECIPE)
    assert again.missing(["7", "20"]) == ["20"]


def test_a_file_named_for_a_different_recipe_is_not_a_good_file(tmp_path: Path) -> None:
    store = Store(tmp_path, RECIPE)
    store.write("v", features(), "1000 bytes")
    other = dataclasses.replace(RECIPE, version=0)
    store.path("v").rename(tmp_path / f"v.{other.fingerprint()}.safetensors")
    with pytest.raises(StoreError, match="no good feature file"):
        Store.existing(tmp_path)
