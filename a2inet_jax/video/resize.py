"""Resizing of frames with antialiasing."""

import jax
import jax.numpy as jnp


def resize_short_side(frames_NxHxWx3: jax.Array, short_side: int) -> jax.Array:
    """Resize frames so that min(height, width) = short_side, up or down, keeping the aspect ratio.

    Bilinear; when downscaling, the triangle filter widens with the scale (antialiasing), as in Pillow. The
    longer side is rounded to the nearest pixel.

    Args:
        frames_NxHxWx3: RGB, uint8.
        short_side: In pixels.

    Returns:
        [N, h, w, 3] uint8, rounded to the nearest level.
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
