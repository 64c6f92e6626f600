"""Training data from arrays and from a store."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from a2inet_jax.errors import DataError, StoreError
from a2inet_jax.features.recipe import Recipe
from a2inet_jax.features.record import VideoFeatures
from a2inet_jax.features.store import Store
from a2inet_jax.training.data import TrainingData
from tests.training_inputs import make_data

RECIPES = {
    "quality": Recipe("q", "0" * 64, "none", 3),
    "semantic": Recipe("s", "1" * 64, "half", 2),
}


def test_arrays_are_kept_in_half_precision() -> None:
    videos = [(np.ones((2, 3)), np.full((2, 1), 7.0)), (np.ones((4, 3)), np.full((4, 1), 7.0))]
    data = TrainingData.of_arrays(["a", "b"], videos, [1.5, 3.0])
    assert data.widths == (3, 1)
    np.testing.assert_array_equal(data.lengths, [2, 4])
    assert [x.dtype for x in data.read(1)] == [np.float16, np.float16]
    assert data.nbytes == 2 * 6 * 4
    np.testing.assert_array_equal(data.indices(["b", "a", "b"]), [1, 0, 1])


def test_arrays_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ValueError, match="video b"):
        TrainingData.of_arrays(["b"], [(np.ones((2, 3)), np.ones((3, 1)))], [1.0])
    with pytest.raises(ValueError, match="video b"):
        TrainingData.of_arrays(["b"], [(np.ones((0, 3)), np.ones((0, 1)))], [1.0])
    with pytest.raises(ValueError, match="2 ids"):
        TrainingData.of_arrays(["a", "b"], [(np.ones((2, 3)),)], [1.0])


def test_video_without_features_is_named() -> None:
    with pytest.raises(
        DataError, match="1 videos of the split have no features, nowhere the first"
    ):
        make_data().indices(["v00", "nowhere"])


def make_stores(
    folder: Path, videos: list[tuple[np.ndarray, ...]], streams: Sequence[str] = tuple(RECIPES)
) -> list[Store]:
    stores = [Store(folder, recipe) for recipe in RECIPES.values()]
    for n, video in enumerate(videos):
        frames = np.arange(len(video[0]))
        for store, rows in zip(stores, video, strict=True):
            features = VideoFeatures(rows, frames.astype(np.int32), frames / 25)
            store.write(f"v{n}", features, "1 byte")
    return [stores[list(RECIPES).index(name)] for name in streams]


def draw_videos(seed: int = 0) -> list[tuple[np.ndarray, ...]]:
    random = np.random.default_rng(seed)
    return [
        (random.normal(size=(n, 3)).astype(np.float16), random.normal(size=(n, 2)).astype("f2"))
        for n in (4, 1, 6)
    ]


@pytest.mark.parametrize(
    "streams", [("quality", "semantic"), ("semantic",), ("semantic", "quality")]
)
def test_streams_of_stores_are_read_in_the_given_order(
    tmp_path: Path, streams: tuple[str, ...]
) -> None:
    videos = draw_videos()
    ids = ["v2", "v0", "v1"]
    data = TrainingData.of_stores(make_stores(tmp_path, videos, streams), ids, [3.0, 1.0, 2.0])
    stream_index = {"quality": 0, "semantic": 1}
    assert data.widths == tuple(videos[0][stream_index[name]].shape[1] for name in streams)
    np.testing.assert_array_equal(data.lengths, [6, 4, 1])
    for n, video in enumerate((2, 0, 1)):
        for name, found in zip(streams, data.read(n), strict=True):
            np.testing.assert_array_equal(found, videos[video][stream_index[name]])


def test_video_missing_from_a_store_is_named(tmp_path: Path) -> None:
    stores = make_stores(tmp_path, draw_videos())
    with pytest.raises(FileNotFoundError, match="v9"):
        TrainingData.of_stores(stores[:1], ["v0", "v9"], [1.0, 2.0])
    stores[1].path("v0").unlink()
    with pytest.raises(FileNotFoundError, match="'v0' has no features of s"):
        TrainingData.of_stores(stores, ["v0"], [1.0])


@pytest.mark.parametrize(
    ("frames", "width", "problem"),
    [(5, 2, "different frames of video 'v0'"), (4, 7, "7 features a frame, not the 2 of s")],
)
def test_features_that_do_not_fit_are_refused_when_they_are_opened(
    tmp_path: Path, frames: int, width: int, problem: str
) -> None:
    stores = make_stores(tmp_path, draw_videos())
    rows = np.zeros((frames, width), np.float16)
    forged = VideoFeatures(rows, np.arange(frames, dtype=np.int32), np.arange(frames) / 25)
    stores[1].write("v0", forged, "1 byte")
    with pytest.raises(StoreError, match=problem) as caught:
        TrainingData.of_stores(stores, ["v1", "v0"], [1.0, 2.0])
    assert str(stores[1].path("v0")) in str(caught.value)


def test_features_with_a_wrong_checksum_are_not_read(tmp_path: Path) -> None:
    stores = make_stores(tmp_path, draw_videos())
    content = stores[1].path("v0").read_bytes()
    stores[1].path("v0").write_bytes(content[:-9] + bytes(9))
    data = TrainingData.of_stores(stores, ["v1", "v0"], [1.0, 2.0])
    data.read(0)
    for _ in range(2):
        with pytest.raises(StoreError, match="SHA-256 differs"):
            data.read(1)


def test_digest_depends_on_every_id_label_and_feature(tmp_path: Path) -> None:
    ids, mos, videos = ["v0", "v1", "v2"], [1.0, 2.0, 3.0], draw_videos()
    changed = draw_videos()
    changed[1][1][0, 0] += 1
    stores = make_stores(tmp_path / "a", videos)
    found = [
        TrainingData.of_stores(stores, ids, mos).digest,
        TrainingData.of_stores(make_stores(tmp_path / "b", changed), ids, mos).digest,
        TrainingData.of_stores(stores, ids, [1.0, 2.0, 4.0]).digest,
        TrainingData.of_stores(stores, ids[::-1], mos).digest,
        TrainingData.of_stores(stores[::-1], ids, mos).digest,
        TrainingData.of_arrays(ids, videos, mos).digest,
        TrainingData.of_arrays(ids, changed, mos).digest,
        TrainingData.of_arrays(ids, videos, mos[::-1]).digest,
        TrainingData.of_arrays(ids[::-1], videos, mos).digest,
    ]
    assert len(set(found)) == len(found)
    again = TrainingData.of_stores(make_stores(tmp_path / "c", videos), ids, mos).digest
    assert again == found[0]
    assert TrainingData.of_arrays(ids, videos, mos).digest == found[5]
