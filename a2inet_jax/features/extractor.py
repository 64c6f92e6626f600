"""Videos → per-frame features of the two frozen backbones, both on the same decoded frames."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np

from a2inet_jax.backbones.conversion import Params
from a2inet_jax.backbones.description import describe
from a2inet_jax.backbones.table import Backbone
from a2inet_jax.features.passes import run_passes, schedule
from a2inet_jax.features.recipe import Recipe
from a2inet_jax.features.store import VideoFeatures
from a2inet_jax.video.decode import VideoError
from a2inet_jax.video.reader import Reader
from a2inet_jax.video.resize import resize_short_side, short_side_size
from a2inet_jax.video.sampling import Sampling, frame_indices, patch_places

# A chunk holds fewer frames where they are larger than this, so that memory stays the same.
_FULL_CHUNK_PIXELS = 1920 * 1080


@dataclass(frozen=True)
class Pretrained:
    """A backbone with its parameters and the SHA-256 of the checkpoint they come from."""

    backbone: Backbone
    params: Params
    sha256: str


class Extractor:
    """Decoder and backbones, ready for video after video. Close it, or use it in a `with` statement.

    Both streams see the same frames: row t of `quality` and of `semantic` describe frame `frame_index[t]`.
    A network of clips sees clips of these frames; `passes.plan` says which.

    Attributes:
      recipe: of its features.
      streams: stream → its backbone and parameters.
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
          chunk: frames on the device at a time; fewer where they are larger than 1920×1080. A network of
            clips takes its clip, whatever their size.
          timeout_s: longest time to wait for a chunk, seconds.

        Raises:
          ValueError: the sampling makes frames or patches that are too small for a backbone.
        """
        for needed, given in (
            (semantic.backbone, sampling.short_side),
            (quality.backbone, sampling.patch_size if sampling.patches else None),
        ):
            if given is not None and given < needed.min_side:
                raise ValueError(
                    f"features.short_side or patch_size is {given}: {needed.name} needs at least "
                    f"{needed.min_side} pixels a side"
                )
        self.recipe = Recipe(
            quality=quality.backbone.name,
            quality_sha256=quality.sha256,
            quality_normalization=quality.backbone.normalization,
            semantic=semantic.backbone.name,
            semantic_sha256=semantic.sha256,
            semantic_normalization=semantic.backbone.normalization,
            sampling=sampling,
            dtype=dtype,
        )
        self._sampling = sampling
        self._chunk = chunk
        self._reader = Reader(timeout_s)
        self.streams = {"quality": quality, "semantic": semantic}
        self._params = {name: stream.params for name, stream in self.streams.items()}

        @functools.partial(jax.jit, static_argnames="names")
        def run(
            params: Mapping[str, Params],
            places_Px2: jax.Array,
            frames_NxHxWx3: jax.Array,
            names: tuple[str, ...],
        ) -> dict[str, jax.Array]:
            rows = {}
            for name in names:
                backbone, weights = self.streams[name].backbone, params[name]
                if name == "quality":
                    rows[name] = _patches(
                        backbone, weights, frames_NxHxWx3, places_Px2, sampling, dtype
                    )
                else:
                    seen = frames_NxHxWx3
                    if sampling.short_side is not None:
                        seen = resize_short_side(seen, sampling.short_side)
                    rows[name] = describe(backbone, weights, seen, jnp.dtype(dtype))
            return rows

        self._run = run

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the decoding process."""
        self._reader.close()

    def extract(self, path: Path, video_id: str) -> VideoFeatures:
        """Describe the frames of one video.

        The device works on one pass while the next one's frames are decoded. Every pass of a network has the
        same number of frames: one compilation for each frame size.

        Args:
          path: the video.
          video_id: its name, on which the patches' places depend.

        Raises:
          VideoError: the video can't be decoded, or its features don't fit float16.
        """
        info = self._reader.open(path)
        indices = frame_indices(info.frames, self._sampling.frames)
        for name, stream in self.streams.items():
            if problem := stream.backbone.too_small(*self._seen(name, info.height, info.width)):
                raise VideoError(path, problem)
        places = patch_places(video_id, info.height, info.width, self._sampling)
        if len(places) and np.all(places == places[:1]):
            places = places[:1]  # the mean of equal features is each of them
        chunk = frames_at_once(self._chunk, info.height, info.width)
        takes = {
            name: stream.backbone.takes(chunk, self._sampling.clip_spacing)
            for name, stream in self.streams.items()
        }
        work = schedule(len(indices), takes)
        run = functools.partial(self._run, self._params, places)
        rows = run_passes(self._reader.read(path, indices, chunk), work, run)
        features = {
            name: _as_float16(np.concatenate(parts), path, self.streams[name].backbone.name)
            for name, parts in rows.items()
        }
        return VideoFeatures(**features, frame_index=indices, timestamps=info.timestamps[indices])

    def _seen(self, stream: str, height: int, width: int) -> tuple[int, int]:
        """Height and width of what a stream sees of such a frame."""
        sampling = self._sampling
        if stream == "quality" and sampling.patches:
            return min(height, sampling.patch_size), min(width, sampling.patch_size)
        if stream == "semantic" and sampling.short_side:
            return short_side_size(height, width, sampling.short_side)
        return height, width


def frames_at_once(chunk: int, height: int, width: int) -> int:
    """How many frames of this size make a chunk: `chunk`, or fewer that take as much memory."""
    return max(1, chunk * _FULL_CHUNK_PIXELS // max(height * width, _FULL_CHUNK_PIXELS))


def _patches(
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
        return describe(backbone, params, frames_NxHxWx3, jnp.dtype(dtype))
    h, w = min(height, sampling.patch_size), min(width, sampling.patch_size)
    total = jnp.zeros((number, backbone.width), jnp.float32)
    # One patch after the other: side by side they would take their number times the memory.
    for top, left in places_Px2:
        patch = jax.lax.dynamic_slice(frames_NxHxWx3, (0, top, left, 0), (number, h, w, 3))
        total += describe(backbone, params, patch, jnp.dtype(dtype))
    return total / patches


def _as_float16(features: np.ndarray, path: Path, backbone: str) -> np.ndarray:
    largest = np.abs(features).max()
    # Also true for NaN.
    if not largest <= np.finfo(np.float16).max:
        raise VideoError(
            path, f"{backbone} gives features up to {largest:g}, too large for float16"
        )
    return features.astype(np.float16)
