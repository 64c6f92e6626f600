import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from a2inet_jax.backbones import frame_features
from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.errors import ConfigError, VideoError
from a2inet_jax.features import extractor as extractor_module
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.network import Network
from a2inet_jax.features.passes import plan
from a2inet_jax.features.recipe import STREAMS
from a2inet_jax.video.reader import Reader
from a2inet_jax.video.sampling import FR, Sampling, patch_positions, resize_short_side
from tests.clips import Clips, ffmpeg_frames
from tests.extraction_inputs import (
    MOTION,
    QUALITY,
    SEMANTIC,
    extract_one,
    extractor,
    network,
    pair,
    traced,
)
from tests.store_inputs import assert_equal


def expected_features(stream: Network, frames: np.ndarray) -> np.ndarray:
    return np.asarray(
        frame_features.extract_features(stream.backbone, stream.params, jnp.asarray(frames))
    )


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    return Clips(tmp_path_factory.getbasetemp() / "clips")


def assert_close(ours: np.ndarray, expected: np.ndarray) -> None:
    assert ours.dtype == np.float16
    np.testing.assert_allclose(ours.astype(np.float32), expected, rtol=2e-3, atol=1e-3)


def test_both_streams_are_extracted_from_the_frames(clips: Clips) -> None:
    frames = ffmpeg_frames(clips["h264.mp4"], 80, 128)
    extract = extractor()
    features = extract_one(extract, clips["h264.mp4"], "v")
    assert_close(features["quality"].features, expected_features(QUALITY, frames))
    assert_close(features["semantic"].features, expected_features(SEMANTIC, frames))
    assert features["quality"].features.std(axis=0).max() > 0.01  # the frames differ
    np.testing.assert_array_equal(features["quality"].frame_index, np.arange(25))
    np.testing.assert_allclose(features["quality"].timestamps, np.arange(25) / 25)


def test_sampled_frames_have_their_timestamps(clips: Clips) -> None:
    frames = ffmpeg_frames(clips["h264.mp4"], 80, 128)
    extract = extractor(Sampling(frames=5))
    features = extract_one(extract, clips["h264.mp4"], "v")
    np.testing.assert_array_equal(features["quality"].frame_index, [2, 7, 12, 17, 22])
    np.testing.assert_allclose(features["quality"].timestamps, features["quality"].frame_index / 25)
    assert_close(
        features["quality"].features,
        expected_features(QUALITY, frames[features["quality"].frame_index]),
    )


def test_features_do_not_depend_on_the_chunk(clips: Clips) -> None:
    results = []
    for chunk_frames in (1, 8, 25, 40):
        extract = extractor(chunk_frames=chunk_frames)
        results.append(extract_one(extract, clips["h264.mp4"], "v"))
    for other in results[1:]:
        for name in ("quality", "semantic"):
            expected, found = results[0][name].features, other[name].features
            rounding = np.abs(expected) * 2.0**-10 + 1e-6
            assert np.all(np.abs(found - expected) <= rounding)


def test_one_compilation_for_each_frame_size(clips: Clips) -> None:
    extract = extractor(chunk_frames=8)
    traced.clear()
    extract_one(extract, clips["h264.mp4"], "v")
    once = len(traced)
    for name in ("one_frame.mp4", "two_frames.mp4", "black.mp4"):
        extract_one(extract, clips[name], name)
    assert once == len(traced) > 0
    extract_one(extract, clips["rotate90.mp4"], "v")
    assert len(traced) == 2 * once


def test_preprocessed_mode(clips: Clips) -> None:
    sampling = Sampling(frames=4, short_side=48, patches=3, patch_size=40, seed=5)
    extract = extractor(sampling)
    features = extract_one(extract, clips["h264.mp4"], "v")
    frames = ffmpeg_frames(clips["h264.mp4"], 80, 128)[features["quality"].frame_index]
    patches = [
        expected_features(QUALITY, frames[:, top : top + 40, left : left + 40])
        for top, left in patch_positions("v", 80, 128, sampling)
    ]
    assert_close(features["quality"].features, np.mean(patches, axis=0))
    small = np.asarray(resize_short_side(jnp.asarray(frames), 48))
    assert small.shape == (4, 48, 77, 3)
    assert_close(features["semantic"].features, expected_features(SEMANTIC, small))


def test_patches_larger_than_the_frame_see_the_whole_frame(clips: Clips) -> None:
    extract = extractor(Sampling(patches=4, patch_size=768))
    patches = extract_one(extract, clips["two_frames.mp4"], "v")
    extract = extractor()
    whole = extract_one(extract, clips["two_frames.mp4"], "v")
    np.testing.assert_array_equal(patches["quality"].features, whole["quality"].features)


@pytest.mark.parametrize("name", ["one_frame.mp4", "black.mp4"])
def test_constant_and_single_frame_videos_give_finite_features(clips: Clips, name: str) -> None:
    extract = extractor()
    features = extract_one(extract, clips[name], name)
    assert np.all(np.isfinite(features["quality"].features))
    assert np.all(np.isfinite(features["semantic"].features))


@pytest.mark.parametrize("factor", [1e7, np.nan])
def test_features_beyond_float16_are_a_video_error(clips: Clips, factor: float) -> None:
    large = dataclasses.replace(
        SEMANTIC, params=jax.tree.map(lambda x: x * factor, SEMANTIC.params)
    )
    extract = Extractor(pair(QUALITY, large))
    with pytest.raises(VideoError, match=r"two_frames.mp4: semantic gives .* float16"):
        extract_one(extract, clips["two_frames.mp4"], "v")


def test_frames_too_small_for_a_backbone_are_a_video_error(clips: Clips) -> None:
    extract = Extractor(pair(network("demanding", 4, min_side=100)))
    with pytest.raises(VideoError, match=r"two_frames.mp4: .*128×80 .*demanding needs .*100"):
        extract_one(extract, clips["two_frames.mp4"], "v")


@pytest.mark.parametrize(
    ("name", "sampling"),
    [
        ("h264.mp4", FR),  # 25 frames: three clips and one frame more
        ("h264.mp4", Sampling(frames=16)),
        ("h264.mp4", Sampling(clip_spacing=2)),
        ("two_frames.mp4", FR),
        ("one_frame.mp4", FR),
    ],
)
@pytest.mark.parametrize("chunk_frames", [3, 8, 40])
def test_both_streams_have_a_row_a_frame(
    clips: Clips, name: str, sampling: Sampling, chunk_frames: int
) -> None:
    """A network of clips gives the same rows as for all frames at once."""
    frames = ffmpeg_frames(clips[name], 80, 128)
    extract = Extractor(pair(QUALITY, MOTION, sampling), chunk_frames=chunk_frames)
    features = extract_one(extract, clips[name], "v")
    frames = frames[features["quality"].frame_index]
    assert_close(features["quality"].features, expected_features(QUALITY, frames))
    expected = [
        expected_features(MOTION, frames[each.frames])[each.rows]
        for each in plan(len(frames), 8, sampling.clip_spacing)
    ]
    assert_close(features["semantic"].features, np.concatenate(expected))


def test_streams_with_different_passes_compile_once_each(clips: Clips) -> None:
    extract = Extractor(pair(QUALITY, MOTION), chunk_frames=3)
    traced.clear()
    for name in ("h264.mp4", "one_frame.mp4"):
        extract_one(extract, clips[name], name)
    assert sorted(set(traced)) == sorted([(1, 80, 128, 3), (3, 80, 128, 3), (1, 8, 80, 128, 3)])
    once = len(traced)
    extract = Extractor(pair(QUALITY, MOTION), chunk_frames=3)
    traced.clear()
    extract_one(extract, clips["h264.mp4"], "h264.mp4")
    assert len(traced) == once


def test_each_streams_view_must_be_large_enough(clips: Clips) -> None:
    """The video's own size does not matter where frames are resized; settings that never fit are refused."""
    large = network("large", 6, min_side=96)
    extract = Extractor(pair(QUALITY, large, Sampling(short_side=96)))
    assert len(extract_one(extract, clips["two_frames.mp4"], "v")["semantic"].features) == 2
    with pytest.raises(
        ConfigError, match=r"features\.short_side_px is 95: large needs at least 96"
    ):
        Extractor(pair(QUALITY, large, Sampling(short_side=95)))
    with pytest.raises(
        ConfigError, match=r"features\.patch_size_px is 31: quality needs at least 32"
    ):
        Extractor(pair(sampling=Sampling(patches=4, patch_size=31)))


def test_the_number_of_compiled_programs_is_bounded(
    clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of frame sizes must not fill the memory; a size that returns is compiled again."""
    monkeypatch.setattr(extractor_module, "_MAX_COMPILED", 1)
    extract = extractor()
    first = extract_one(extract, clips["h264.mp4"], "v")
    extract_one(extract, clips["rotate90.mp4"], "w")
    assert len(extract._compiled) == 1
    again = extract_one(extract, clips["h264.mp4"], "v")
    np.testing.assert_array_equal(first["quality"].features, again["quality"].features)


class RecordingExtractor(Extractor):
    """An extractor that records the streams that are computed."""

    computed: set[str]

    def compute(self, frames: Any, positions: Any, device_index: int = 0) -> Any:
        self.computed = {*getattr(self, "computed", ()), *positions}
        return super().compute(frames, positions, device_index)


SMALL = Sampling(frames=4, short_side=64, patches=2, patch_size=48)


@pytest.mark.parametrize("semantic", [SEMANTIC, MOTION], ids=["frames", "clips"])
@pytest.mark.parametrize("sampling", [FR, SMALL], ids=["FR", "PR"])
def test_a_stream_alone_has_the_features_that_it_has_beside_the_other(
    clips: Clips, semantic: Network, sampling: Sampling
) -> None:
    both = extract_one(Extractor(pair(QUALITY, semantic, sampling)), clips["h264.mp4"], "v")
    for name in both:
        extract = RecordingExtractor(pair(QUALITY, semantic, sampling))
        with Reader() as reader:
            video = VideoFile("v", clips["h264.mp4"])
            (alone,) = extract.extract(video, reader, streams=[name]).values()
        assert extract.computed == {name}
        assert_equal(alone, both[name])


def test_streams_of_equal_recipes_are_computed_once(clips: Clips) -> None:
    extract = RecordingExtractor({"quality": SEMANTIC, "semantic": SEMANTIC})
    found = extract_one(extract, clips["h264.mp4"], "v")
    assert extract.computed == {"quality"}
    assert list(found) == ["quality", "semantic"]
    assert_equal(found["quality"], found["semantic"])
    # Not so if one of them sees patches.
    extract = RecordingExtractor(pair(SEMANTIC, SEMANTIC, SMALL))
    found = extract_one(extract, clips["h264.mp4"], "v")
    assert extract.computed == {"quality", "semantic"}
    assert not np.array_equal(found["quality"].features, found["semantic"].features)


def test_a_recipe_is_of_the_network_and_not_of_its_role() -> None:
    extract = Extractor(pair(QUALITY, SEMANTIC, SMALL))
    exchanged = Extractor({"quality": SEMANTIC, "semantic": QUALITY})
    assert exchanged.recipes == dict(zip(STREAMS, reversed(list(extractor().recipes.values()))))
    assert extract.recipes["quality"].sampling == dataclasses.replace(SMALL, short_side=None)
    assert extract.recipes["semantic"].sampling == Sampling(frames=4, short_side=64)
    assert extract.recipes["semantic"].width == 24


def test_all_networks_see_the_same_number_of_frames() -> None:
    few = dataclasses.replace(SEMANTIC, sampling=Sampling(frames=3))
    with pytest.raises(ValueError, match="unpack"):
        Extractor({"quality": QUALITY, "semantic": few})
