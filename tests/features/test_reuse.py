"""Streams reused from another store, bit for bit equal to computed ones."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.features.extract import extract_all
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.reuse import reusable_stores
from a2inet_jax.features.store import Store
from a2inet_jax.video.sampling import FR, Sampling
from tests.clips import Clips
from tests.extraction_inputs import MOTION, QUALITY, SEMANTIC, pretrained

SMALL = Sampling(short_side=64, patches=2, patch_size=48)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> VideoFile:
    clips = Clips(tmp_path_factory.getbasetemp() / "clips")
    return VideoFile("v", clips["h264.mp4"])


class RecordingExtractor(Extractor):
    """An extractor that records which streams were computed."""

    computed: set[str]

    def compute(self, frames: Any, positions: Any, names: Any = (), device_index: int = 0) -> Any:
        self.computed = {*getattr(self, "computed", ()), *names}
        return super().compute(frames, positions, names, device_index)


def extract(
    video: VideoFile, folder: Path, quality: Any, semantic: Any, sampling: Sampling = FR
) -> tuple[Store, set[str]]:
    extractor = RecordingExtractor(quality, semantic, sampling)
    store = Store(folder / extractor.recipe.fingerprint(), extractor.recipe)
    folders = [path for path in folder.glob("*") if path.is_dir()]
    work = extract_all([video], extractor, store, lambda *_: None, reuse_from=folders)
    assert work.failures == []
    return store, getattr(extractor, "computed", set())


def assert_equal_to_computed(
    store: Store, video: VideoFile, extractor: Extractor, folder: Path
) -> None:
    computed = Store(folder / "computed", extractor.recipe)
    extract_all([video], extractor, computed, lambda *_: None)
    assert store.path("v").read_bytes() == computed.path("v").read_bytes()


@pytest.mark.parametrize("sampling", [FR, SMALL], ids=["FR", "PR"])
def test_only_the_missing_stream_is_computed(
    video: VideoFile, tmp_path: Path, sampling: Sampling
) -> None:
    shared = tmp_path / "shared"
    assert extract(video, shared, QUALITY, SEMANTIC, sampling)[1] == {"quality", "semantic"}
    store, computed = extract(video, shared, QUALITY, MOTION, sampling)
    assert computed == {"semantic"}
    assert_equal_to_computed(store, video, Extractor(QUALITY, MOTION, sampling), tmp_path)


def test_a_network_is_reused_in_the_other_role(video: VideoFile, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    extract(video, shared, QUALITY, SEMANTIC)
    extract(video, shared, QUALITY, MOTION)
    # Both streams are known now, from two stores, so that nothing is decoded.
    store, computed = extract(video, shared, SEMANTIC, MOTION)
    assert computed == set()
    assert_equal_to_computed(store, video, Extractor(SEMANTIC, MOTION, FR), tmp_path)


def test_streams_of_different_views_or_weights_are_computed(
    video: VideoFile, tmp_path: Path
) -> None:
    extract(video, tmp_path, QUALITY, SEMANTIC)
    for sampling, computed in (
        (Sampling(frames=3), {"quality", "semantic"}),
        (Sampling(short_side=64), {"semantic"}),
        (Sampling(patches=2, patch_size=40), {"quality"}),
        # One view is of patches, the other of whole frames: nothing can be reused.
        (dataclasses.replace(SMALL, short_side=80), {"quality", "semantic"}),
    ):
        assert extract(video, tmp_path, QUALITY, SEMANTIC, sampling)[1] == computed
    other_weights = dataclasses.replace(QUALITY, sha256="another")
    assert extract(video, tmp_path, other_weights, MOTION)[1] == {"quality", "semantic"}


def test_nothing_is_reused_for_a_different_file_of_the_same_name(
    video: VideoFile, tmp_path: Path
) -> None:
    shared, path = tmp_path / "shared", tmp_path / "v.mp4"
    path.write_bytes(video.path.read_bytes())
    extract(VideoFile("v", path), shared, QUALITY, SEMANTIC)
    clips = Clips(video.path.parent)
    path.write_bytes(clips["two_frames.mp4"].read_bytes())
    store, computed = extract(VideoFile("v", path), shared, QUALITY, MOTION)
    assert computed == {"quality", "semantic"}
    assert len(store.read("v").quality) == 2


def test_nothing_is_reused_from_damaged_files_and_other_folders(
    video: VideoFile, tmp_path: Path
) -> None:
    store, _ = extract(video, tmp_path, QUALITY, SEMANTIC)
    (tmp_path / "empty").mkdir()
    recipe = Extractor(QUALITY, pretrained("other", 3), FR).recipe
    assert [each[1] for each in reusable_stores(recipe, tmp_path.iterdir())] == [
        {"quality": "quality"}
    ]
    content = store.path("v").read_bytes()
    store.path("v").write_bytes(content[:-9])
    assert reusable_stores(recipe, tmp_path.iterdir()) == []
    _, computed = extract(video, tmp_path, QUALITY, MOTION)
    assert computed == {"quality", "semantic"}


def test_features_with_a_wrong_checksum_are_not_reused(video: VideoFile, tmp_path: Path) -> None:
    store, _ = extract(video, tmp_path, QUALITY, SEMANTIC)
    content = store.path("v").read_bytes()
    store.path("v").write_bytes(content[:-9] + bytes(9))
    _, computed = extract(video, tmp_path, QUALITY, MOTION)
    assert computed == {"quality", "semantic"}
