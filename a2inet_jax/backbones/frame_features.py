"""Extraction of one feature vector per frame by a frozen network: normalise, cut, run, pool."""

from collections.abc import Sequence
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike

from a2inet_jax.backbones.convert import Params
from a2inet_jax.backbones.registry import NORMALIZATIONS, Backbone
from a2inet_jax.video.sampling import resize_short_side, short_side_size


def extract_features(
    backbone: Backbone, params: Params, frames_BxHxWx3: jax.Array, dtype: DTypeLike = jnp.float32
) -> jax.Array:
    """Return one vector per frame, the mean and deviation of each map. Pure; jit it with a fixed backbone.

    A network of clips takes the frames as one clip, and each row of its output is repeated for the
    `backbone.frames_per_row` frames that it covers. A network of fixed size sees a frame as evenly spaced
    tiles that cover it (`tile_corners`); mean and deviation are over the positions of all tiles.

    On a CPU, frames or tiles are processed one after another, so that intermediate results stay in the cache,
    which halves the time of EfficientNet-Lite0. Other devices process all frames, or all tiles of a frame, at
    once.

    Args:
        backbone: A backbone of the registry.
        params: Its parameters, from `weights.load_params`.
        frames_BxHxWx3: RGB, uint8; for a network of clips, B must be `backbone.clip_frames`.
        dtype: Compute dtype of the network; pooling is always in float32.

    Returns:
        [B, backbone.width] float32, in the order of `pool_stages`.

    Raises:
        ValueError: A side is shorter than the backbone's minimum, or the frames are not one clip.
    """

    def pooled(frames_BxHxWx3: jax.Array) -> jax.Array:
        return pool_stages(feature_maps(backbone, params, frames_BxHxWx3, dtype))

    if backbone.clip_frames > 1:
        return jnp.repeat(pooled(frames_BxHxWx3), backbone.frames_per_row, axis=0)

    def one_by_one(frames_BxHxWx3: jax.Array) -> jax.Array:
        return lax.map(lambda frame: pooled(frame[None])[0], frames_BxHxWx3)

    if backbone.tile_px:
        return one_by_one(frames_BxHxWx3)
    return lax.platform_dependent(frames_BxHxWx3, cpu=one_by_one, default=pooled)


def pool_stages(maps: Sequence[jax.Array]) -> jax.Array:
    """Concatenate the mean and the unbiased standard deviation over the positions of each map.

    The deviation is taken around the mean, as E[x²] − E[x]² would cancel, and in float32 whatever the maps'
    dtype. A map of one position has a deviation of 0.

    Args:
        maps: One array [B, h, w, C] per stage.

    Returns:
        [B, 2 ΣC] float32: mean of stage 1, deviation of stage 1, mean of stage 2, and so on.
    """
    pooled = []
    for x_BxHxWxC in maps:
        x = x_BxHxWxC.astype(jnp.float32)
        positions = x.shape[1] * x.shape[2]
        mean_Bx1x1xC = jnp.mean(x, axis=(1, 2), keepdims=True)
        squares_BxC = jnp.sum(jnp.square(x - mean_Bx1x1xC), axis=(1, 2))
        pooled += [mean_Bx1x1xC[:, 0, 0], jnp.sqrt(squares_BxC / max(positions - 1, 1))]
    return jnp.concatenate(pooled, axis=-1)


def feature_maps(
    backbone: Backbone, params: Params, frames_BxHxWx3: jax.Array, dtype: DTypeLike = jnp.float32
) -> list[jax.Array]:
    """Return the network's maps of frames, or of the rows of one clip; arguments as for `extract_features`.

    Returns:
        Arrays [R, h, w, C] in `dtype`, R = B / backbone.frames_per_row. The maps of a frame's tiles are
        stacked along the height: h is the number of tiles times the height of a tile's map.
    """
    num_frames, height, width, _ = frames_BxHxWx3.shape
    if problem := backbone.size_problem(height, width):
        raise ValueError(problem)
    if backbone.clip_frames > 1 and num_frames != backbone.clip_frames:
        raise ValueError(
            f"{backbone.name} takes clips of {backbone.clip_frames} frames, not {num_frames}"
        )

    # Frames, or tiles, of the size that the network takes, normalised.
    frames = resize_short_side(frames_BxHxWx3, backbone.resized_short_side(height, width))
    corners_Nx2 = tile_corners(frames.shape[1], frames.shape[2], backbone.tile_px)
    if len(corners_Nx2):
        side = backbone.tile_px
        tiles = [frames[:, y : y + side, x : x + side] for y, x in corners_Nx2]
        frames = jnp.stack(tiles, axis=1).reshape(-1, side, side, 3)
    shift, scale = (
        jnp.asarray(values, jnp.float32).reshape(1, 1, 1, 3)
        for values in NORMALIZATIONS[backbone.normalization]
    )
    x = (frames.astype(jnp.float32) / 255 - shift) / scale

    # The network, on a CPU tile by tile.
    network = backbone.network.clone(dtype=dtype)

    def apply(x: jax.Array) -> list[jax.Array]:
        return cast(list[jax.Array], network.apply({"params": params}, x))

    def one_by_one(tiles: jax.Array) -> list[jax.Array]:
        return lax.map(lambda tile: [each[0] for each in apply(tile[None])], tiles)

    if backbone.clip_frames > 1:
        maps = apply(x[None])
    elif backbone.tile_px:
        maps = lax.platform_dependent(x, cpu=one_by_one, default=apply)
    else:
        maps = apply(x)
    rows = num_frames // backbone.frames_per_row
    return [each.reshape(rows, -1, *each.shape[-2:]) for each in maps]


def join_tiles(maps_RxHxW: jax.Array, backbone: Backbone, height: int, width: int) -> jax.Array:
    """Join maps of tiles, from `feature_maps`, to maps of whole frames; overlapping tiles are averaged.

    Args:
        maps_RxHxW: One channel of the maps, or a mean of channels.
        backbone: The backbone that gave the maps.
        height: Height of the frames that were given to it, pixels.
        width: Width of these frames, pixels.

    Returns:
        [R, h, w].
    """
    if not backbone.tile_px:
        return maps_RxHxW
    # Tile corners on the map's grid.
    height, width = short_side_size(height, width, backbone.resized_short_side(height, width))
    corners_Nx2 = tile_corners(height, width, backbone.tile_px)
    side = maps_RxHxW.shape[2]
    tiles_RxNxSxS = maps_RxHxW.reshape(len(maps_RxHxW), len(corners_Nx2), side, side)
    h, w = (length * side // backbone.tile_px for length in (height, width))
    # Sum and number of the tiles at each position.
    total_RxHxW, count_1xHxW = jnp.zeros((len(tiles_RxNxSxS), h, w)), jnp.zeros((1, h, w))
    for n, (top, left) in enumerate(corners_Nx2 * side // backbone.tile_px):
        here = (slice(None), slice(top, top + side), slice(left, left + side))
        total_RxHxW = total_RxHxW.at[here].add(tiles_RxNxSxS[:, n])
        count_1xHxW = count_1xHxW.at[here].add(1)
    return total_RxHxW / jnp.maximum(count_1xHxW, 1)


def tile_corners(height: int, width: int, side: int) -> np.ndarray:
    """Return the corners of the fewest evenly spaced square tiles that cover a frame; they overlap or touch.

    Args:
        height: Height of the frame, pixels, at least `side`.
        width: Width of the frame, pixels, at least `side`.
        side: Side of a tile, pixels; 0 for no tiles.

    Returns:
        [N, 2] int32, (top, left) of each tile, row by row.
    """
    if not side:
        return np.zeros((0, 2), np.int32)
    tops, lefts = (_tile_starts(length, side) for length in (height, width))
    return np.stack(np.meshgrid(tops, lefts, indexing="ij"), axis=-1).reshape(-1, 2)


def _tile_starts(length: int, side: int) -> np.ndarray:
    """Return the starts of the fewest evenly spaced segments of `side` that cover `length`, as integers."""
    tiles = -(-length // side)
    return np.arange(tiles, dtype=np.int32) * (length - side) // max(tiles - 1, 1)
