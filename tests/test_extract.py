import dataclasses
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from a2inet_jax.backbones import description
from a2inet_jax.backbones.table import Backbone
from a2inet_jax.datasets.video import Video
from a2inet_jax.features.extract import Failure, extract_all
from a2inet_jax.features.extractor import Extractor, Pretrained
from a2inet_jax.features.passes import plan
from a2inet_jax.features.store import Store, VideoFeatures
from a2inet_jax.video.decode import VideoError
from a2inet_jax.video.resize import resize_short_side
from a2inet_jax.video.sampling import Sampling, patch_places
from tests.clips import Clips, ffmpeg_frames

FR = Sampling()


# Shapes for which the network was traced: jit compiles after tracing, and not without.
traced: list[tuple[int, ...]] = []


class TwoMaps(nn.Module):
    """A network that costs nothing."""

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x_BxHxWx3: jax.Array) -> list[jax.Array]:
        traced.append(x_BxHxWx3.shape)
        maps = []
        x = x_BxHxWx3
        for _ in range(2):
            x = nn.relu(nn.Conv(self.features, (3, 3), strides=4, dtype=self.dtype)(x))
            maps.append(x)
        return maps


def pretrained(name: str, features: int, min_side: int = 32) -> Pretrained:
    backbone = Backbone(
        name=name,
        network=TwoMaps(features),
        width=4 * features,
        normalization="half",
        layouts=(),
        min_side=min_side,
    )
    params = backbone.network.init(jax.random.key(features), jnp.zeros((1, 32, 32, 3)))["params"]
    return Pretrained(backbone, params, f"sha256 of {name}")


QUALITY, SEMANTIC = pretrained("quality", 4), pretrained("semantic", 6)


def extractor(sampling: Sampling = FR, chunk: int = 8) -> Extractor:
    return Extractor(QUALITY, SEMANTIC, sampling, chunk=chunk, timeout_s=30)


def describe(stream: Pretrained, frames: np.ndarray) -> np.ndarray:
    return np.asarray(description.describe(stream.backbone, stream.params, jnp.asarray(frames)))


def ignore(video_id: str, done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    return Clips(tmp_path_factory.getbasetemp() / "clips")


def assert_close(ours: np.ndarray, expected: np.ndarray) -> None:
    assert ours.dtype == np.float16
    np.testing.assert_allclose(ours.astype(np.float32), expected, rtol=2e-3, atol=1e-3)


def test_both_streams_describe_the_frames(clips: Clips) -> None:
    frames = ffmpeg_frames(clips["h264.mp4"], 80, 128)
    with extractor() as extract:
        features = extract.extract(clips["h264.mp4"], "v")
    assert_close(features.quality, describe(QUALITY, frames))
    assert_close(features.semantic, describe(SEMANTIC, frames))
    assert features.quality.std(axis=0).max() > 0.01  # frames differ
    np.testing.assert_array_equal(features.frame_index, np.arange(25))
    np.testing.assert_allclose(features.timestamps, np.arange(25) / 25)


def test_sampled_frames_carry_their_times(clips: Clips) -> None:
    frames = ffmpeg_frames(clips["h264.mp4"], 80, 128)
    with extractor(Sampling(frames=5)) as extract:
        features = extract.extract(clips["h264.mp4"], "v")
    np.testing.assert_array_equal(features.frame_index, [2, 7, 12, 17, 22])
    np.testing.assert_allclose(features.timestamps, features.frame_index / 25)
    assert_close(features.quality, describe(QUALITY, frames[features.frame_index]))


def test_the_chunk_does_not_matter(clips: Clips) -> None:
    results = []
    for chunk in (1, 8, 25, 40):
        with extractor(chunk=chunk) as extract:
            results.append(extract.extract(clips["h264.mp4"], "v"))
    for other in results[1:]:
        for name in ("quality", "semantic"):
            one_step = np.abs(getattr(results[0], name)) * 2.0**-10 + 1e-6
            assert np.all(np.abs(getattr(other, name) - getattr(results[0], name)) <= one_step)


def test_one_compilation_for_each_frame_size(clips: Clips) -> None:
    with extractor(chunk=8) as extract:
        traced.clear()
        extract.extract(clips["h264.mp4"], "v")
        once = len(traced)
        for name in ("one_frame.mp4", "two_frames.mp4", "black.mp4"):
            extract.extract(clips[name], name)
        assert once == len(traced) > 0
        extract.extract(clips["rotate90.mp4"], "v")
        assert len(traced) == 2 * once


def test_preprocessed_mode(clips: Clips) -> None:
    sampling = Sampling(frames=4, short_side=48, patches=3, patch_size=40, seed=5)
    with extractor(sampling) as extract:
        features = extract.extract(clips["h264.mp4"], "v")
    frames = ffmpeg_frames(clips["h264.mp4"], 80, 128)[features.frame_index]
    patches = [
        describe(QUALITY, frames[:, top : top + 40, left : left + 40])
        for top, left in patch_places("v", 80, 128, sampling)
    ]
    assert_close(features.quality, np.mean(patches, axis=0))
    small = np.asarray(resize_short_side(jnp.asarray(frames), 48))
    assert small.shape == (4, 48, 77, 3)
    assert_close(features.semantic, describe(SEMANTIC, small))


def test_patches_larger_than_the_frame_are_the_frame(clips: Clips) -> None:
    with extractor(Sampling(patches=4, patch_size=768)) as extract:
        patches = extract.extract(clips["two_frames.mp4"], "v")
    with extractor() as extract:
        whole = extract.extract(clips["two_frames.mp4"], "v")
    np.testing.assert_array_equal(patches.quality, whole.quality)


@pytest.mark.parametrize("name", ["one_frame.mp4", "black.mp4"])
def test_dull_videos_give_finite_features(clips: Clips, name: str) -> None:
    with extractor() as extract:
        features = extract.extract(clips[name], name)
    assert np.all(np.isfinite(features.quality))
    assert np.all(np.isfinite(features.semantic))


@pytest.mark.parametrize("factor", [1e7, np.nan])
def test_features_beyond_float16_are_an_error(clips: Clips, factor: float) -> None:
    loud = dataclasses.replace(SEMANTIC, params=jax.tree.map(lambda x: x * factor, SEMANTIC.params))
    with (
        Extractor(QUALITY, loud, FR) as extract,
        pytest.raises(VideoError, match=r"two_frames.mp4: semantic gives .* float16"),
    ):
        extract.extract(clips["two_frames.mp4"], "v")


def test_frames_too_small_for_a_backbone_are_a_video_error(clips: Clips) -> None:
    with (
        Extractor(pretrained("demanding", 4, min_side=100), SEMANTIC, FR) as extract,
        pytest.raises(VideoError, match=r"two_frames.mp4: .*128×80 .*demanding needs .*100"),
    ):
        extract.extract(clips["two_frames.mp4"], "v")


class OverTime(nn.Module):
    """A network of clips: what it says of a frame depends on the other frames of the clip."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x_NxTxHxWx3: jax.Array) -> list[jax.Array]:
        traced.append(x_NxTxHxWx3.shape)
        clips, frames, height, width, _ = x_NxTxHxWx3.shape
        x = x_NxTxHxWx3 - jnp.mean(x_NxTxHxWx3, axis=1, keepdims=True)
        return [x.reshape(clips, frames // 2, 2, height, width, 3).mean(axis=2)]


MOTION = Pretrained(
    Backbone("motion", OverTime(), 6, "half", layouts=(), clip=8, stride=2), {}, "sha256 of motion"
)


@pytest.mark.parametrize(
    ("name", "sampling"),
    [
        ("h264.mp4", FR),  # 25 frames: three clips, and one frame is left
        ("h264.mp4", Sampling(frames=16)),
        ("h264.mp4", Sampling(clip_spacing=2)),
        ("two_frames.mp4", FR),
        ("one_frame.mp4", FR),
    ],
)
@pytest.mark.parametrize("chunk", [3, 8, 40])
def test_both_streams_have_a_row_a_frame(
    clips: Clips, name: str, sampling: Sampling, chunk: int
) -> None:
    """Also where one network takes clips: the same rows as from all frames at once."""
    frames = ffmpeg_frames(clips[name], 80, 128)
    with Extractor(QUALITY, MOTION, sampling, chunk=chunk) as extract:
        features = extract.extract(clips[name], "v")
    frames = frames[features.frame_index]
    assert_close(features.quality, describe(QUALITY, frames))
    expected = [
        describe(MOTION, frames[each.frames])[each.rows]
        for each in plan(len(frames), 8, sampling.clip_spacing)
    ]
    assert_close(features.semantic, np.concatenate(expected))


def test_streams_of_other_lengths_compile_once_each(clips: Clips) -> None:
    with Extractor(QUALITY, MOTION, FR, chunk=3) as extract:
        traced.clear()
        for name in ("h264.mp4", "one_frame.mp4"):
            extract.extract(clips[name], name)
    assert sorted(set(traced)) == sorted([(1, 80, 128, 3), (3, 80, 128, 3), (1, 8, 80, 128, 3)])
    once = len(traced)
    with Extractor(QUALITY, MOTION, FR, chunk=3) as extract:
        traced.clear()
        extract.extract(clips["h264.mp4"], "h264.mp4")
    assert len(traced) == once


def test_what_a_stream_sees_must_be_large_enough(clips: Clips) -> None:
    """The video's own size doesn't matter where frames are resized, and sizes that never fit are refused."""
    large = pretrained("large", 6, min_side=96)
    with Extractor(QUALITY, large, Sampling(short_side=96)) as extract:
        assert len(extract.extract(clips["two_frames.mp4"], "v").semantic) == 2
    with pytest.raises(ValueError, match="is 95: large needs at least 96"):
        Extractor(QUALITY, large, Sampling(short_side=95))
    with pytest.raises(ValueError, match="is 31: quality needs at least 32"):
        Extractor(QUALITY, SEMANTIC, Sampling(patches=4, patch_size=31))


def videos(clips: Clips, *names: str) -> list[Video]:
    return [Video(name, clips.folder / name, 1.0, name) for name in names if clips[name]]


def same(one: VideoFeatures, other: VideoFeatures) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(vars(one).values(), vars(other).values()))


def test_bad_videos_are_listed_and_the_rest_is_there(clips: Clips, tmp_path: Path) -> None:
    every = videos(clips, "h264.mp4", "text.mp4", "two_frames.mp4", "cut.mkv")
    calls: list[tuple[str, int, int]] = []
    with extractor() as extract:
        store = Store(tmp_path, extract.recipe)
        failures = extract_all(every, extract, store, lambda *call: calls.append(call))
    assert [failure.video_id for failure in failures] == ["text.mp4", "cut.mkv"]
    assert failures[1] == Failure("cut.mkv", clips["cut.mkv"], failures[1].reason)
    assert "cut short" in failures[1].reason
    assert calls[0] == ("", 0, 4)
    assert calls[-1] == ("cut.mkv", 4, 4)
    assert store.missing([video.video_id for video in every]) == ["text.mp4", "cut.mkv"]


def test_a_job_that_was_stopped_goes_on(clips: Clips, tmp_path: Path) -> None:
    every = videos(clips, "h264.mp4", "black.mp4", "two_frames.mp4")

    def stop(video_id: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with extractor() as extract:
        store = Store(tmp_path / "stopped", extract.recipe)
        with pytest.raises(KeyboardInterrupt):
            extract_all(every, extract, store, stop)
    assert store.missing([video.video_id for video in every]) == ["two_frames.mp4"]
    before = {path: path.stat().st_mtime_ns for path in store.folder.iterdir()}

    with extractor() as extract:
        again = Store(tmp_path / "stopped", extract.recipe)
        calls: list[tuple[str, int, int]] = []
        assert extract_all(every, extract, again, lambda *call: calls.append(call)) == []
        assert calls == [("", 2, 3), ("two_frames.mp4", 3, 3)]
        straight = Store(tmp_path / "straight", extract.recipe)
        extract_all(every, extract, straight, ignore)
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    for video in every:
        assert same(again.read(video.video_id), straight.read(video.video_id))


def test_replaced_videos_and_damaged_files_are_extracted_again(
    clips: Clips, tmp_path: Path
) -> None:
    path = tmp_path / "v.mp4"
    video = Video("v", path, 1.0, "v")
    with extractor() as extract:
        store = Store(tmp_path / "store", extract.recipe)
        for name, frames in (("h264.mp4", 25), ("two_frames.mp4", 2)):
            path.write_bytes(clips[name].read_bytes())
            assert extract_all([video], extract, store, ignore) == []
            assert len(store.read("v").quality) == frames
        store.path("v").write_bytes(b"damaged")
        assert extract_all([video], extract, store, ignore) == []
        assert len(store.read("v").quality) == 2
        path.unlink()
        assert extract_all([video], extract, store, ignore) == []
    assert len(store.read("v").quality) == 2


def test_a_store_of_another_recipe_is_refused(clips: Clips, tmp_path: Path) -> None:
    with extractor() as extract, extractor(Sampling(frames=3)) as other:
        store = Store(tmp_path, other.recipe)
        with pytest.raises(ValueError, match="sampling"):
            extract_all([], extract, store, ignore)
