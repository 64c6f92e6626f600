"""What the streams see of a frame: quality all of it or patches, semantic all of it, resized if need be."""

import jax
import jax.numpy as jnp

from a2inet_jax.backbones.convert import Params
from a2inet_jax.backbones.frame_features import extract_features
from a2inet_jax.backbones.registry import Backbone
from a2inet_jax.video.resize import resize_short_side, short_side_size
from a2inet_jax.video.sampling import Sampling


def size(stream: str, sampling: Sampling, height: int, width: int) -> tuple[int, int]:
    """Height and width of what a stream sees of a frame of this size."""
    if stream == "quality" and sampling.patches:
        return min(height, sampling.patch_size), min(width, sampling.patch_size)
    if stream == "semantic" and sampling.short_side:
        return short_side_size(height, width, sampling.short_side)
    return height, width


def features(
    stream: str,
    sampling: Sampling,
    backbone: Backbone,
    params: Params,
    frames_NxHxWx3: jax.Array,
    places_Px2: jax.Array,
    dtype: jnp.dtype,
) -> jax.Array:
    """Features of frames as a stream sees them; of patches, the mean over those of a frame.

    Args:
      stream: one of the `STREAMS`.
      sampling: sizes and patches.
      backbone: of the stream.
      params: of the backbone.
      frames_NxHxWx3: RGB, uint8.
      places_Px2: top and left of the patches that the quality stream sees, int32; none: whole frames.
      dtype: of the computation.

    Returns:
      [n, backbone.width] float32: a row for each frame, or for each that a network of clips describes.
    """
    if stream == "semantic" and sampling.short_side:
        frames_NxHxWx3 = resize_short_side(frames_NxHxWx3, sampling.short_side)
    patches = places_Px2.shape[0]
    if stream == "semantic" or patches == 0:
        return extract_features(backbone, params, frames_NxHxWx3, dtype)
    number, height, width, _ = frames_NxHxWx3.shape
    h, w = size(stream, sampling, height, width)
    total = jnp.zeros((number, backbone.width), jnp.float32)
    # One patch after the other: side by side they would take their number times the memory.
    for top, left in places_Px2:
        patch = jax.lax.dynamic_slice(frames_NxHxWx3, (0, top, left, 0), (number, h, w, 3))
        total += extract_features(backbone, params, patch, dtype)
    return total / patches
