"""Training data from arrays and from a store."""

from pathlib import Path

import numpy as np
import pytest

from a2inet_jax.errors import DataError
from a2inet_jax.features.recipe import Recipe
from a2inet_jax.features.store import Store, VideoFeatures
from a2inet_jax.training.data import TrainingData
from a2inet_jax.video.sampling import Sampling
from tests.training_inputs import make_data

RECIPE = Recipe("q", "0" * 64, "none", "s", "1" * 64, "half", Sampling())


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


def make_store(folder: Path, videos: list[tuple[np.ndarray, ...]]) -> Store:
    store = Store(folder, RECIPE)
    for n, (quality, semantic) in enumerate(videos):
        frames = np.arange(len(quality))
        features = VideoFeatures(quality, semantic, frames.astype(np.int32), frames / 25)
        store.write(f"v{n}", features, "1 byte")
    return store


def draw_videos(seed: int = 0) -> list[tuple[np.ndarray, ...]]:
    random = np.random.default_rng(seed)
    return [
        (random.normal(size=(n, 3)).astype(np.float16), random.normal(size=(n, 2)).astype("f2"))
        for n in (4, 1, 6)
    ]


@pytest.mark.parametrize(
    "streams", [("quality", "semantic"), ("semantic",), ("semantic", "quality")]
)
def test_streams_of_a_store_are_read_in_the_given_order(
    tmp_path: Path, streams: tuple[str, ...]
) -> None:
    videos = draw_videos()
    ids = ["v2", "v0", "v1"]
    data = TrainingData.of_store(make_store(tmp_path, videos), ids, [3.0, 1.0, 2.0], streams)
    stream_index = {"quality": 0, "semantic": 1}
    assert data.widths == tuple(videos[0][stream_index[name]].shape[1] for name in streams)
    np.testing.assert_array_equal(data.lengths, [6, 4, 1])
    for n, video in enumerate((2, 0, 1)):
        for name, found in zip(streams, data.read(n), strict=True):
            np.testing.assert_array_equal(found, videos[video][stream_index[name]])


def test_video_missing_from_the_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="v9"):
        TrainingData.of_store(
            make_store(tmp_path, draw_videos()), ["v0", "v9"], [1.0, 2.0], ("quality",)
        )


def test_digest_depends_on_every_id_label_and_feature(tmp_path: Path) -> None:
    ids, mos, both = ["v0", "v1", "v2"], [1.0, 2.0, 3.0], ("quality", "semantic")
    changed = draw_videos()
    changed[1][1][0, 0] += 1
    found = [
        TrainingData.of_store(make_store(tmp_path / "a", draw_videos()), ids, mos, both).digest,
        TrainingData.of_store(make_store(tmp_path / "b", changed), ids, mos, both).digest,
        TrainingData.of_store(
            make_store(tmp_path / "a", draw_videos()), ids, [1.0, 2.0, 4.0], both
        ).digest,
        TrainingData.of_store(
            make_store(tmp_path / "a", draw_videos()), ids[::-1], mos, both
        ).digest,
        TrainingData.of_store(
            make_store(tmp_path / "a", draw_videos()), ids, mos, both[::-1]
        ).digest,
        TrainingData.of_arrays(ids, draw_videos(), mos).digest,
        TrainingData.of_arrays(ids, changed, mos).digest,
        TrainingData.of_arrays(ids, draw_videos(), mos[::-1]).digest,
        TrainingData.of_arrays(ids[::-1], draw_videos(), mos).digest,
    ]
    assert len(set(found)) == len(found)
    again = TrainingData.of_store(make_store(tmp_path / "c", draw_videos()), ids, mos, both).digest
    assert again == found[0]
    assert TrainingData.of_arrays(ids, draw_videos(), mos).digest == found[5]
