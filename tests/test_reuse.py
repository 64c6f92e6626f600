"""A stream that another store has is taken from there, bit for bit what would have been computed."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.features.extract import extract_all
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.reuse import lenders
from a2inet_jax.features.store import Store
from a2inet_jax.video.sampling import FR, Sampling
from tests.clips import Clips
from tests.extraction_inputs import MOTION, QUALITY, SEMANTIC, pretrained

SMALL = Sampling(short_side=64, patches=2, patch_size=48)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> VideoFile:
    clips = Clips(tmp_path_factory.getbasetemp() / "clips")
    return VideoFile("v", clips["h264.mp4"])


class Counted(Extractor):
    """Notes which streams were computed."""

    computed: set[str]

    def compute(self, frames: Any, places: Any, names: Any = (), device: int = 0) -> Any:
        self.computed = {*getattr(self, "computed", ()), *names}
        return super().compute(frames, places, names, device)


def extract(
    video: VideoFile, folder: Path, quality: Any, semantic: Any, sampling: Sampling = FR
) -> tuple[Store, set[str]]:
    extractor = Counted(quality, semantic, sampling)
    store = Store(folder / extractor.recipe.fingerprint(), extractor.recipe)
    folders = [path for path in folder.glob("*") if path.is_dir()]
    assert extract_all([video], extractor, store, lambda *_: None, others=folders).failures == []
    return store, getattr(extractor, "computed", set())


def assert_as_alone(store: Store, video: VideoFile, extractor: Extractor, folder: Path) -> None:
    alone = Store(folder / "alone", extractor.recipe)
    extract_all([video], extractor, alone, lambda *_: None)
    assert store.path("v").read_bytes() == alone.path("v").read_bytes()


@pytest.mark.parametrize("sampling", [FR, SMALL], ids=["FR", "PR"])
def test_only_the_other_stream_is_computed(
    video: VideoFile, tmp_path: Path, sampling: Sampling
) -> None:
    shared = tmp_path / "shared"
    assert extract(video, shared, QUALITY, SEMANTIC, sampling)[1] == {"quality", "semantic"}
    store, computed = extract(video, shared, QUALITY, MOTION, sampling)
    assert computed == {"semantic"}
    assert_as_alone(store, video, Extractor(QUALITY, MOTION, sampling), tmp_path)


def test_a_network_may_be_lent_by_the_other_role(video: VideoFile, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    extract(video, shared, QUALITY, SEMANTIC)
    extract(video, shared, QUALITY, MOTION)
    # Both are known now, in two stores, and nothing is decoded.
    store, computed = extract(video, shared, SEMANTIC, MOTION)
    assert computed == set()
    assert_as_alone(store, video, Extractor(SEMANTIC, MOTION, FR), tmp_path)


def test_what_sees_other_frames_is_computed(video: VideoFile, tmp_path: Path) -> None:
    extract(video, tmp_path, QUALITY, SEMANTIC)
    for sampling, computed in (
        (Sampling(frames=3), {"quality", "semantic"}),
        (Sampling(short_side=64), {"semantic"}),
        (Sampling(patches=2, patch_size=40), {"quality"}),
        # Patches for one role, whole frames for the other: nothing of the network can be lent.
        (dataclasses.replace(SMALL, short_side=80), {"quality", "semantic"}),
    ):
        assert extract(video, tmp_path, QUALITY, SEMANTIC, sampling)[1] == computed
    other_weights = dataclasses.replace(QUALITY, sha256="another")
    assert extract(video, tmp_path, other_weights, MOTION)[1] == {"quality", "semantic"}


def test_another_file_of_the_same_name_borrows_nothing(video: VideoFile, tmp_path: Path) -> None:
    shared, path = tmp_path / "shared", tmp_path / "v.mp4"
    path.write_bytes(video.path.read_bytes())
    extract(VideoFile("v", path), shared, QUALITY, SEMANTIC)
    clips = Clips(video.path.parent)
    path.write_bytes(clips["two_frames.mp4"].read_bytes())
    store, computed = extract(VideoFile("v", path), shared, QUALITY, MOTION)
    assert computed == {"quality", "semantic"}
    assert len(store.read("v").quality) == 2


def test_damaged_files_and_odd_folders_lend_nothing(video: VideoFile, tmp_path: Path) -> None:
    lent, _ = extract(video, tmp_path, QUALITY, SEMANTIC)
    (tmp_path / "empty").mkdir()
    wanted = Extractor(QUALITY, pretrained("other", 3), FR).recipe
    assert [each[1] for each in lenders(wanted, tmp_path.iterdir())] == [{"quality": "quality"}]
    content = lent.path("v").read_bytes()
    lent.path("v").write_bytes(content[:-9])
    assert lenders(wanted, tmp_path.iterdir()) == []
    _, computed = extract(video, tmp_path, QUALITY, MOTION)
    assert computed == {"quality", "semantic"}


def test_what_does_not_fit_its_checksum_is_not_copied(video: VideoFile, tmp_path: Path) -> None:
    lent, _ = extract(video, tmp_path, QUALITY, SEMANTIC)
    content = lent.path("v").read_bytes()
    lent.path("v").write_bytes(content[:-9] + bytes(9))
    _, computed = extract(video, tmp_path, QUALITY, MOTION)
    assert computed == {"quality", "semantic"}
