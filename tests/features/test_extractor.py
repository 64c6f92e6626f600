import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from a2inet_jax.backbones import frame_features
from a2inet_jax.errors import ConfigError, VideoError
from a2inet_jax.features import extractor as extractor_module
from a2inet_jax.features.extractor import Extractor, Pretrained
from a2inet_jax.features.passes import plan
from a2inet_jax.video.sampling import FR, Sampling, patch_positions, resize_short_side
from tests.clips import Clips, ffmpeg_frames
from tests.extraction_inputs import (
    MOTION,
    QUALITY,
    SEMANTIC,
    extract_one,
    extractor,
    pretrained,
    traced,
)


def expected_features(stream: Pretrained, frames: np.ndarray) -> np.ndarray:
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
    assert_close(features.quality, expected_features(QUALITY, frames))
    assert_close(features.semantic, expected_features(SEMANTIC, frames))
    assert features.quality.std(axis=0).max() > 0.01  # the frames differ
    np.testing.assert_array_equal(features.frame_index, np.arange(25))
    np.testing.assert_allclose(features.timestamps, np.arange(25) / 25)


def test_sampled_frames_have_their_timestamps(clips: Clips) -> None:
    frames = ffmpeg_frames(clips["h264.mp4"], 80, 128)
    extract = extractor(Sampling(frames=5))
    features = extract_one(extract, clips["h264.mp4"], "v")
    np.testing.assert_array_equal(features.frame_index, [2, 7, 12, 17, 22])
    np.testing.assert_allclose(features.timestamps, features.frame_index / 25)
    assert_close(features.quality, expected_features(QUALITY, frames[features.frame_index]))


def test_features_do_not_depend_on_the_chunk(clips: Clips) -> None:
    results = []
    for chunk_frames in (1, 8, 25, 40):
        extract = extractor(chunk_frames=chunk_frames)
        results.append(extract_one(extract, clips["h264.mp4"], "v"))
    for other in results[1:]:
        for name in ("quality", "semantic"):
            rounding = np.abs(getattr(results[0], name)) * 2.0**-10 + 1e-6
            assert np.all(np.abs(getattr(other, name) - getattr(results[0], name)) <= rounding)


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
    frames = ffmpeg_frames(clips["h264.mp4"], 80, 128)[features.frame_index]
    patches = [
        expected_features(QUALITY, frames[:, top : top + 40, left : left + 40])
        for top, left in patch_positions("v", 80, 128, sampling)
    ]
    assert_close(features.quality, np.mean(patches, axis=0))
    small = np.asarray(resize_short_side(jnp.asarray(frames), 48))
    assert small.shape == (4, 48, 77, 3)
    assert_close(features.semantic, expected_features(SEMANTIC, small))


def test_patches_larger_than_the_frame_see_the_whole_frame(clips: Clips) -> None:
    extract = extractor(Sampling(patches=4, patch_size=768))
    patches = extract_one(extract, clips["two_frames.mp4"], "v")
    extract = extractor()
    whole = extract_one(extract, clips["two_frames.mp4"], "v")
    np.testing.assert_array_equal(patches.quality, whole.quality)


@pytest.mark.parametrize("name", ["one_frame.mp4", "black.mp4"])
def test_constant_and_single_frame_videos_give_finite_features(clips: Clips, name: str) -> None:
    extract = extractor()
    features = extract_one(extract, clips[name], name)
    assert np.all(np.isfinite(features.quality))
    assert np.all(np.isfinite(features.semantic))


@pytest.mark.parametrize("factor", [1e7, np.nan])
def test_features_beyond_float16_are_a_video_error(clips: Clips, factor: float) -> None:
    large = dataclasses.replace(
        SEMANTIC, params=jax.tree.map(lambda x: x * factor, SEMANTIC.params)
    )
    extract = Extractor(QUALITY, large, FR)
    with pytest.raises(VideoError, match=r"two_frames.mp4: semantic gives .* float16"):
        extract_one(extract, clips["two_frames.mp4"], "v")


def test_frames_too_small_for_a_backbone_are_a_video_error(clips: Clips) -> None:
    extract = Extractor(pretrained("demanding", 4, min_side=100), SEMANTIC, FR)
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
    extract = Extractor(QUALITY, MOTION, sampling, chunk_frames=chunk_frames)
    features = extract_one(extract, clips[name], "v")
    frames = frames[features.frame_index]
    assert_close(features.quality, expected_features(QUALITY, frames))
    expected = [
        expected_features(MOTION, frames[each.frames])[each.rows]
        for each in plan(len(frames), 8, sampling.clip_spacing)
    ]
    assert_close(features.semantic, np.concatenate(expected))


def test_streams_with_different_passes_compile_once_each(clips: Clips) -> None:
    extract = Extractor(QUALITY, MOTION, FR, chunk_frames=3)
    traced.clear()
    for name in ("h264.mp4", "one_frame.mp4"):
        extract_one(extract, clips[name], name)
    assert sorted(set(traced)) == sorted([(1, 80, 128, 3), (3, 80, 128, 3), (1, 8, 80, 128, 3)])
    once = len(traced)
    extract = Extractor(QUALITY, MOTION, FR, chunk_frames=3)
    traced.clear()
    extract_one(extract, clips["h264.mp4"], "h264.mp4")
    assert len(traced) == once


def test_each_streams_view_must_be_large_enough(clips: Clips) -> None:
    """The video's own size does not matter where frames are resized; settings that never fit are refused."""
    large = pretrained("large", 6, min_side=96)
    extract = Extractor(QUALITY, large, Sampling(short_side=96))
    assert len(extract_one(extract, clips["two_frames.mp4"], "v").semantic) == 2
    with pytest.raises(
        ConfigError, match=r"features\.short_side_px is 95: large needs at least 96"
    ):
        Extractor(QUALITY, large, Sampling(short_side=95))
    with pytest.raises(
        ConfigError, match=r"features\.patch_size_px is 31: quality needs at least 32"
    ):
        Extractor(QUALITY, SEMANTIC, Sampling(patches=4, patch_size=31))


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
    np.testing.assert_array_equal(first.quality, again.quality)
