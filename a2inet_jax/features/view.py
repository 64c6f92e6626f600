"""The view that each stream has of a frame.

The quality stream sees the whole frame or patches of it; the semantic stream sees the whole frame, resized if
the sampling says so.
"""

import jax
import jax.numpy as jnp

from a2inet_jax.backbones.convert import Params
from a2inet_jax.backbones.frame_features import extract_features
from a2inet_jax.backbones.registry import Backbone
from a2inet_jax.video.sampling import Sampling, resize_short_side, short_side_size


def size(stream: str, sampling: Sampling, height: int, width: int) -> tuple[int, int]:
    """Return height and width of a stream's view of a frame of this size, in pixels."""
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
    positions_Px2: jax.Array,
    dtype: jnp.dtype,
) -> jax.Array:
    """Extract the features of a stream; those of patches are averaged over the patches of a frame.

    Args:
        stream: One of the `STREAMS`.
        sampling: Sizes and patches.
        backbone: Backbone of the stream.
        params: Its parameters.
        frames_NxHxWx3: RGB, uint8.
        positions_Px2: Top and left of the quality stream's patches, int32; P = 0: whole frames.
        dtype: Dtype of the computation.

    Returns:
        `[N, backbone.width]` float32, one row a frame.
    """
    if stream == "semantic" and sampling.short_side:
        frames_NxHxWx3 = resize_short_side(frames_NxHxWx3, sampling.short_side)
    num_patches = positions_Px2.shape[0]
    if stream == "semantic" or num_patches == 0:
        return extract_features(backbone, params, frames_NxHxWx3, dtype)
    num_frames, height, width, _ = frames_NxHxWx3.shape
    patch_height, patch_width = size(stream, sampling, height, width)
    sum_NxD = jnp.zeros((num_frames, backbone.width), jnp.float32)
    # One patch after the other: all at once they would need P times the memory.
    for top, left in positions_Px2:
        patch = jax.lax.dynamic_slice(
            frames_NxHxWx3, (0, top, left, 0), (num_frames, patch_height, patch_width, 3)
        )
        sum_NxD += extract_features(backbone, params, patch, dtype)
    return sum_NxD / num_patches
