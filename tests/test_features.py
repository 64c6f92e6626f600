"""Features of a data set, in memory and on disk."""

from pathlib import Path

import numpy as np
import pytest

from a2inet_jax.features.recipe import Recipe
from a2inet_jax.features.store import Store, VideoFeatures
from a2inet_jax.training.data import TrainingData
from a2inet_jax.video.sampling import Sampling
from tests.training_inputs import make_features

RECIPE = Recipe("q", "0" * 64, "none", "s", "1" * 64, "half", Sampling())


def test_arrays_are_kept_as_half_precision() -> None:
    videos = [(np.ones((2, 3)), np.full((2, 1), 7.0)), (np.ones((4, 3)), np.full((4, 1), 7.0))]
    features = TrainingData.of_arrays(["a", "b"], videos, [1.5, 3.0])
    assert features.widths == (3, 1)
    np.testing.assert_array_equal(features.lengths, [2, 4])
    assert [x.dtype for x in features.read(1)] == [np.float16, np.float16]
    assert features.nbytes == 2 * 6 * 4
    np.testing.assert_array_equal(features.rows(["b", "a", "b"]), [1, 0, 1])


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="video b"):
        TrainingData.of_arrays(["b"], [(np.ones((2, 3)), np.ones((3, 1)))], [1.0])
    with pytest.raises(ValueError, match="video b"):
        TrainingData.of_arrays(["b"], [(np.ones((0, 3)), np.ones((0, 1)))], [1.0])
    with pytest.raises(ValueError, match="2 ids"):
        TrainingData.of_arrays(["a", "b"], [(np.ones((2, 3)),)], [1.0])


def test_rows_names_a_video_without_features() -> None:
    with pytest.raises(ValueError, match="1 videos of the split, nowhere the first"):
        make_features().rows(["v00", "nowhere"])


def store_of(folder: Path, videos: list[tuple[np.ndarray, ...]]) -> Store:
    store = Store(folder, RECIPE)
    for n, (quality, semantic) in enumerate(videos):
        frames = np.arange(len(quality))
        record = VideoFeatures(quality, semantic, frames.astype(np.int32), frames / 25)
        store.write(f"v{n}", record, "1 byte")
    return store


def draw(seed: int = 0) -> list[tuple[np.ndarray, ...]]:
    random = np.random.default_rng(seed)
    return [
        (random.normal(size=(n, 3)).astype(np.float16), random.normal(size=(n, 2)).astype("f2"))
        for n in (4, 1, 6)
    ]


@pytest.mark.parametrize(
    "streams", [("quality", "semantic"), ("semantic",), ("semantic", "quality")]
)
def test_a_store_gives_what_was_written(tmp_path: Path, streams: tuple[str, ...]) -> None:
    videos = draw()
    ids = ["v2", "v0", "v1"]
    features = TrainingData.of_store(store_of(tmp_path, videos), ids, [3.0, 1.0, 2.0], streams)
    where = {"quality": 0, "semantic": 1}
    assert features.widths == tuple(videos[0][where[name]].shape[1] for name in streams)
    np.testing.assert_array_equal(features.lengths, [6, 4, 1])
    for n, video in enumerate((2, 0, 1)):
        for name, found in zip(streams, features.read(n), strict=True):
            np.testing.assert_array_equal(found, videos[video][where[name]])


def test_a_missing_video_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="v9"):
        TrainingData.of_store(store_of(tmp_path, draw()), ["v0", "v9"], [1.0, 2.0], ("quality",))


def test_digest_sees_every_part(tmp_path: Path) -> None:
    ids, mos, both = ["v0", "v1", "v2"], [1.0, 2.0, 3.0], ("quality", "semantic")
    changed = draw()
    changed[1][1][0, 0] += 1
    found = [
        TrainingData.of_store(store_of(tmp_path / "a", draw()), ids, mos, both).digest,
        TrainingData.of_store(store_of(tmp_path / "b", changed), ids, mos, both).digest,
        TrainingData.of_store(store_of(tmp_path / "a", draw()), ids, [1.0, 2.0, 4.0], both).digest,
        TrainingData.of_store(store_of(tmp_path / "a", draw()), ids[::-1], mos, both).digest,
        TrainingData.of_store(store_of(tmp_path / "a", draw()), ids, mos, both[::-1]).digest,
        TrainingData.of_arrays(ids, draw(), mos).digest,
        TrainingData.of_arrays(ids, changed, mos).digest,
        TrainingData.of_arrays(ids, draw(), mos[::-1]).digest,
        TrainingData.of_arrays(ids[::-1], draw(), mos).digest,
    ]
    assert len(set(found)) == len(found)
    again = TrainingData.of_store(store_of(tmp_path / "c", draw()), ids, mos, both).digest
    assert again == found[0]
    assert TrainingData.of_arrays(ids, draw(), mos).digest == found[5]
