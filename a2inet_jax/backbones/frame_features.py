"""Frames → one vector each, by a frozen network: normalise, cut to what it takes, run, pool."""

from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike

from a2inet_jax.backbones.convert import Params
from a2inet_jax.backbones.pooling import pool_stages
from a2inet_jax.backbones.registry import NORMALIZATIONS, Backbone
from a2inet_jax.video.resize import resize_short_side, short_side_size


def extract_features(
    backbone: Backbone,
    params: Params,
    frames_BxHxWx3: jax.Array,
    dtype: DTypeLike = jnp.float32,
) -> jax.Array:
    """One vector a frame: mean ⊕ deviation of each map. Pure; jit it with the backbone closed over.

    A network of clips takes the frames as one clip, and each row of its output is given to the
    `backbone.stride` frames that it stands for. A network of fixed size sees a frame as evenly spread squares
    that cover it (`tile_places`), and the mean and the deviation are over the places of all of them.

    On a CPU single frames, or squares, go through one after another: what is computed of one stays in the
    cache, which halves the time of EfficientNet-Lite0. Other devices take frames together, or the squares of
    one.

    Args:
      backbone: of the table.
      params: from `weights.load_params`.
      frames_BxHxWx3: RGB, uint8; for a network of clips B must be `backbone.clip`.
      dtype: of the network's computation; pooling is float32 always.

    Returns:
      [B, backbone.width] float32, in the order of `pool_stages`.

    Raises:
      ValueError: a side is shorter than the backbone's minimum, or the frames are not one clip.
    """

    def pooled(frames: jax.Array) -> jax.Array:
        return pool_stages(feature_maps(backbone, params, frames, dtype))

    if backbone.clip > 1:
        return jnp.repeat(pooled(frames_BxHxWx3), backbone.stride, axis=0)

    def one_by_one(frames: jax.Array) -> jax.Array:
        return lax.map(lambda frame: pooled(frame[None])[0], frames)

    if backbone.tile:
        return one_by_one(frames_BxHxWx3)
    return lax.platform_dependent(frames_BxHxWx3, cpu=one_by_one, default=pooled)


def feature_maps(
    backbone: Backbone,
    params: Params,
    frames_BxHxWx3: jax.Array,
    dtype: DTypeLike = jnp.float32,
) -> list[jax.Array]:
    """Maps of frames, or of the rows of one clip.

    Args:
      backbone: of the table.
      params: from `weights.load_params`.
      frames_BxHxWx3: RGB, uint8; for a network of clips B must be `backbone.clip`.
      dtype: of the computation.

    Returns:
      Arrays [R, h, w, C] in `dtype`, R = B / backbone.stride. Where frames are covered with squares, those of
      one frame lie one under the other: h is their number times the height of one's map.

    Raises:
      ValueError: a side is shorter than the backbone's minimum, or the frames are not one clip.
    """
    number, height, width, _ = frames_BxHxWx3.shape
    if problem := backbone.too_small(height, width):
        raise ValueError(problem)
    if backbone.clip > 1 and number != backbone.clip:
        raise ValueError(f"{backbone.name} takes clips of {backbone.clip} frames, not {number}")
    frames = resize_short_side(frames_BxHxWx3, backbone.shorter_side(height, width))
    places = tile_places(frames.shape[1], frames.shape[2], backbone.tile)
    if len(places):
        side = backbone.tile
        tiles = [frames[:, y : y + side, x : x + side] for y, x in places]
        frames = jnp.stack(tiles, axis=1).reshape(-1, side, side, 3)
    shift, scale = (
        jnp.asarray(values, jnp.float32).reshape(1, 1, 1, 3)
        for values in NORMALIZATIONS[backbone.normalization]
    )
    x = (frames.astype(jnp.float32) / 255 - shift) / scale
    network = backbone.network.clone(dtype=dtype)

    def apply(x: jax.Array) -> list[jax.Array]:
        return cast(list[jax.Array], network.apply({"params": params}, x))

    def one_by_one(squares: jax.Array) -> list[jax.Array]:
        return lax.map(lambda square: [each[0] for each in apply(square[None])], squares)

    if backbone.clip > 1:
        maps = apply(x[None])
    elif backbone.tile:
        maps = lax.platform_dependent(x, cpu=one_by_one, default=apply)
    else:
        maps = apply(x)
    rows = number // backbone.stride
    return [each.reshape(rows, -1, *each.shape[-2:]) for each in maps]


def join_tiles(maps_RxHxW: jax.Array, backbone: Backbone, height: int, width: int) -> jax.Array:
    """Maps of whole frames, [R, h, w], from those of `feature_maps`: where squares overlap, their mean.

    Args:
      maps_RxHxW: one channel, or a mean of channels.
      backbone: that they are of.
      height: of the frames that were given to it, pixels.
      width: of the frames, pixels.
    """
    if not backbone.tile:
        return maps_RxHxW
    height, width = short_side_size(height, width, backbone.shorter_side(height, width))
    places = tile_places(height, width, backbone.tile)
    side = maps_RxHxW.shape[2]
    tiles = maps_RxHxW.reshape(len(maps_RxHxW), len(places), side, side)
    h, w = (length * side // backbone.tile for length in (height, width))
    total, times = jnp.zeros((len(tiles), h, w)), jnp.zeros((1, h, w))
    for n, (top, left) in enumerate(places * side // backbone.tile):
        here = (slice(None), slice(top, top + side), slice(left, left + side))
        total, times = total.at[here].add(tiles[:, n]), times.at[here].add(1)
    return total / jnp.maximum(times, 1)


def tile_places(height: int, width: int, side: int) -> np.ndarray:
    """Where squares lie that cover a frame, as few as do, evenly spread: they overlap or touch.

    Args:
      height: of the frame, pixels, at least `side`.
      width: of the frame, pixels, at least `side`.
      side: of a square, pixels; 0 for none.

    Returns:
      [n, 2] int32, (top, left) of each, row by row.
    """
    if not side:
        return np.zeros((0, 2), np.int32)
    tops, lefts = (_spread(length, side) for length in (height, width))
    return np.stack(np.meshgrid(tops, lefts, indexing="ij"), axis=-1).reshape(-1, 2)


def _spread(length: int, side: int) -> np.ndarray:
    """Where the fewest stretches of `side` begin that cover `length`, in integers."""
    number = -(-length // side)
    return np.arange(number, dtype=np.int32) * (length - side) // max(number - 1, 1)
