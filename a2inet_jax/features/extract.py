"""Videos → per-frame features of the two frozen backbones, both on the same decoded frames."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np

from a2inet_jax.backbones.conversion import Params
from a2inet_jax.backbones.table import Backbone, frame_features
from a2inet_jax.datasets.video import Video
from a2inet_jax.features.recipe import Recipe
from a2inet_jax.features.store import Store, StoreError, VideoFeatures
from a2inet_jax.video.decode import VideoError, VideoInfo
from a2inet_jax.video.reader import Reader
from a2inet_jax.video.resize import resize_short_side
from a2inet_jax.video.sampling import Sampling, frame_indices, patch_places

# A chunk holds fewer frames where they are larger than this, so that memory stays the same.
_FULL_CHUNK_PIXELS = 1920 * 1080


@dataclass(frozen=True)
class Pretrained:
    """A backbone with its parameters and the SHA-256 of the checkpoint they come from."""

    backbone: Backbone
    params: Params
    sha256: str


@dataclass(frozen=True)
class Failure:
    """A video that could not be described, and why."""

    video_id: str
    path: Path
    reason: str


class Extractor:
    """Decoder and backbones, ready for video after video. Close it, or use it in a `with` statement.

    Both streams see the same frames: row t of `quality` and of `semantic` describe frame `frame_index[t]`.
    """

    def __init__(
        self,
        quality: Pretrained,
        semantic: Pretrained,
        sampling: Sampling,
        dtype: str = "float32",
        chunk: int = 8,
        timeout_s: float = 60.0,
    ) -> None:
        """Nothing is decoded or compiled yet; each new frame size is compiled once.

        Args:
          quality: backbone of the quality stream.
          semantic: backbone of the semantic stream.
          sampling: frames, sizes and patches.
          dtype: of the backbones' computation.
          chunk: frames on the device at a time; fewer where they are larger than 1920×1080.
          timeout_s: longest time to wait for a chunk, seconds.
        """
        self.recipe = Recipe(
            quality=quality.backbone.name,
            quality_sha256=quality.sha256,
            semantic=semantic.backbone.name,
            semantic_sha256=semantic.sha256,
            sampling=sampling,
            dtype=dtype,
        )
        self._sampling = sampling
        self._chunk = chunk
        self._reader = Reader(timeout_s)
        self._quality, self._semantic = quality, semantic

        @jax.jit
        def describe(
            params: tuple[Params, Params], frames_NxHxWx3: jax.Array, places_Px2: jax.Array
        ) -> tuple[jax.Array, jax.Array]:
            seen = frames_NxHxWx3
            if sampling.short_side is not None:
                seen = resize_short_side(frames_NxHxWx3, sampling.short_side)
            return (
                _quality(quality.backbone, params[0], frames_NxHxWx3, places_Px2, sampling, dtype),
                frame_features(semantic.backbone, params[1], seen, jnp.dtype(dtype)),
            )

        self._describe = describe

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the decoding process."""
        self._reader.close()

    def extract(self, path: Path, video_id: str) -> VideoFeatures:
        """Describe the frames of one video.

        The device works on a chunk while the next one is decoded. The last chunk is filled up with copies of
        its last frame, whose features are dropped: one compilation for each frame size.

        Args:
          path: the video.
          video_id: its name, on which the patches' places depend.

        Raises:
          VideoError: the video can't be decoded, or its features don't fit float16.
        """
        info = self._reader.open(path)
        indices = frame_indices(info.frames, self._sampling.frames)
        self._check_size(path, info)
        places = patch_places(video_id, info.height, info.width, self._sampling)
        if len(places) and np.all(places == places[:1]):
            places = places[:1]  # the mean of equal features is each of them
        chunk = max(
            1, self._chunk * _FULL_CHUNK_PIXELS // max(info.height * info.width, _FULL_CHUNK_PIXELS)
        )
        params = (self._quality.params, self._semantic.params)
        rows: list[tuple[np.ndarray, np.ndarray]] = []
        ahead: tuple[jax.Array, jax.Array] | None = None
        for frames in self._reader.read(path, indices, chunk):
            missing = chunk - len(frames)
            if missing:
                frames = np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)])
            described = self._describe(params, frames, places)
            # Fetching waits for the device: done for the chunk before, while this one is computed.
            if ahead is not None:
                rows.append((np.asarray(ahead[0]), np.asarray(ahead[1])))
            ahead = described
        assert ahead is not None
        rows.append((np.asarray(ahead[0]), np.asarray(ahead[1])))
        quality, semantic = (np.concatenate(part)[: len(indices)] for part in zip(*rows))
        return VideoFeatures(
            quality=_as_float16(quality, path, self.recipe.quality),
            semantic=_as_float16(semantic, path, self.recipe.semantic),
            frame_index=indices,
            timestamps=info.timestamps[indices],
        )

    def _check_size(self, path: Path, info: VideoInfo) -> None:
        for stream in (self._quality, self._semantic):
            needed = stream.backbone.min_side
            if min(info.height, info.width) < needed:
                raise VideoError(
                    path,
                    f"frames of {info.width}×{info.height} pixels; "
                    f"{stream.backbone.name} needs at least {needed} a side",
                )


def extract_all(
    videos: Sequence[Video],
    extractor: Extractor,
    store: Store,
    on_progress: Callable[[str, int, int], None],
) -> list[Failure]:
    """Extract the features that a store lacks. A video that fails is listed, and the rest goes on.

    What is in the store is left as it is, so that a job that was killed goes on where it was; unless it is
    damaged, or the video's file is another by its size. Features of videos that are gone are kept.

    Args:
      videos: all videos of the data set.
      extractor: with the recipe of the store.
      store: where the features go.
      on_progress: called with (video id, videos done, videos in all), at the start and after each video.

    Returns:
      The videos that failed, in order.

    Raises:
      ValueError: extractor and store have different recipes.
      OSError: the store can't be written.
    """
    if extractor.recipe != store.recipe:
        raise ValueError(
            f"the extractor and {store.folder} differ: {extractor.recipe.differences(store.recipe)}"
        )
    missing = set(store.missing(video.video_id for video in videos))
    todo = [video for video in videos if video.video_id in missing or not _is_current(video, store)]
    done = len(videos) - len(todo)
    on_progress("", done, len(videos))
    failures = []
    for video in todo:
        try:
            features = extractor.extract(video.path, video.video_id)
            store.write(video.video_id, features, video.path.stat().st_size)
        except VideoError as error:
            failures.append(Failure(video.video_id, video.path, error.reason))
        done += 1
        on_progress(video.video_id, done, len(videos))
    return failures


def _is_current(video: Video, store: Store) -> bool:
    try:
        source_bytes = store.source_bytes(video.video_id)
    except StoreError:
        return False
    return not video.path.exists() or video.path.stat().st_size == source_bytes


def _quality(
    backbone: Backbone,
    params: Params,
    frames_NxHxWx3: jax.Array,
    places_Px2: jax.Array,
    sampling: Sampling,
    dtype: str,
) -> jax.Array:
    """Features of whole frames, or the mean over the patches of each: [N, backbone.width] float32."""
    number, height, width, _ = frames_NxHxWx3.shape
    patches = places_Px2.shape[0]
    if patches == 0:
        return frame_features(backbone, params, frames_NxHxWx3, jnp.dtype(dtype))
    h, w = min(height, sampling.patch_size), min(width, sampling.patch_size)
    total = jnp.zeros((number, backbone.width), jnp.float32)
    # One patch after the other: side by side they would take their number times the memory.
    for top, left in places_Px2:
        patch = jax.lax.dynamic_slice(frames_NxHxWx3, (0, top, left, 0), (number, h, w, 3))
        total += frame_features(backbone, params, patch, jnp.dtype(dtype))
    return total / patches


def _as_float16(features: np.ndarray, path: Path, backbone: str) -> np.ndarray:
    largest = np.abs(features).max()
    # Also true for NaN.
    if not largest <= np.finfo(np.float16).max:
        raise VideoError(
            path, f"{backbone} gives features up to {largest:g}, too large for float16"
        )
    return features.astype(np.float16)
