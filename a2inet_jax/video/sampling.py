"""Choice of the frames of a video and of the patches that a network sees of them, and resizing.

Full resolution (FR): every frame, whole, at its own size. Preprocessed (PR): 128 frames at equal
intervals; the semantic stream sees them with their shorter side at 540 pixels, the quality stream four
patches of 768×768.
"""

import hashlib
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from a2inet_jax.config import Features


@dataclass(frozen=True)
class Sampling:
    """Frames, sizes and patches of a video that a network sees.

    Attributes:
        frames: Number of frames at equal intervals; None for all.
        short_side: Short side of the frames in pixels; None for the video's own size.
        patches: Number of patches per frame; 0 for the whole frame.
        patch_size: Side of a patch in pixels.
        seed: Seed of the patches' positions.
        clip_spacing: A clip of n frames is spread evenly over n · clip_spacing of these frames.
    """

    frames: int | None = None
    short_side: int | None = None
    patches: int = 0
    patch_size: int = Features.patch_size_px
    seed: int = 0
    clip_spacing: int = Features.clip_spacing


FR = Sampling()
PR = Sampling(frames=128, short_side=540, patches=4)


def frame_indices(total: int, frames: int | None) -> np.ndarray:
    """Return frames at equal intervals: the middle one of each of `frames` equal segments of the video.

    Index k is ⌊(2k + 1) · total / (2 · frames)⌋, in integers, so that it is the same on every machine. All
    frames are chosen if `frames` is None. `total` is at least 1.

    Returns:
        [min(total, frames)] int32, strictly ascending.
    """
    if frames is None or total <= frames:
        return np.arange(total, dtype=np.int32)
    middles = 2 * np.arange(frames, dtype=np.int64) + 1
    return (middles * total // (2 * frames)).astype(np.int32)


def patch_positions(video_id: str, height: int, width: int, sampling: Sampling) -> np.ndarray:
    """Return the positions of the patches, which are the same in every frame of a video.

    Each position is computed from the SHA-256 of seed, video id and patch index, so that it does not depend
    on the state or version of a random generator. Frames are `height` × `width` pixels.

    Returns:
        [patches, 2] int32, (top, left) of each. 0 along a side that is no longer than a patch.
    """
    num_offsets = [max(side - sampling.patch_size, 0) + 1 for side in (height, width)]
    positions_Px2 = np.zeros((sampling.patches, 2), np.int32)
    for k in range(sampling.patches):
        text = f"{sampling.seed}/{k}/{video_id}"
        digest = hashlib.sha256(text.encode(errors="surrogateescape")).digest()
        draws = (int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:16], "big"))
        positions_Px2[k] = [draw % count for draw, count in zip(draws, num_offsets)]
    return positions_Px2


def resize_short_side(frames_NxHxWx3: jax.Array, short_side: int) -> jax.Array:
    """Resize frames so that min(height, width) = short_side, up or down, keeping the aspect ratio.

    Bilinear; when downscaling, the triangle filter widens with the scale (antialiasing), as in Pillow. The
    longer side is rounded to the nearest pixel.

    Returns:
        [N, h, w, 3] uint8 RGB as given, rounded to the nearest level.
    """
    num_frames, height, width, channels = frames_NxHxWx3.shape
    if min(height, width) == short_side:
        return frames_NxHxWx3
    h, w = short_side_size(height, width, short_side)
    resized_NxHxWx3 = jax.image.resize(
        frames_NxHxWx3.astype(jnp.float32),
        (num_frames, h, w, channels),
        method="linear",
        antialias=True,
        precision=jax.lax.Precision.HIGHEST,
    )
    return jnp.clip(jnp.round(resized_NxHxWx3), 0, 255).astype(jnp.uint8)


def short_side_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Return height and width after `resize_short_side`, in pixels."""
    # In integers, half a pixel rounded up: the size must not depend on a machine's rounding.
    shorter = min(height, width)
    h, w = ((2 * side * short_side + shorter) // (2 * shorter) for side in (height, width))
    return h, w
