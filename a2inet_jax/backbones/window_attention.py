"""The block of shifted-window transformers (Liu et al., ICCV 2021; for video CVPR 2022): Video Swin, MANIQA.

Tokens attend to those of their window of a grid over time, height and width; a frame is a clip of length one.
In every second block the grid is shifted by half a window: the map is rolled and, where the seam comes to lie
within a window, tokens from both sides of it don't see each other.
"""

import math
from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from a2inet_jax.backbones.convert import Source, torch_plain
from a2inet_jax.backbones.vit import Mlp, SelfAttention, at_least_float32, layer_norm

EPSILON = 1e-5  # of the layer norms
APART = -100.0  # added to a score across the seam

Size = tuple[int, ...]  # along time, height and width


class SwinBlock(nn.Module):
    """x + attention in windows(norm(x)), then x + MLP(norm(x)).

    Attributes:
      heads: of the attention.
      window: tokens along time, height and width. Along an axis that is not longer than that, the window is
        the axis and nothing is shifted.
      shifted: whether the grid is shifted by half a window.
      hidden: channels within the MLP.
      dtype: of the computation; parameters are float32.
    """

    heads: int
    window: Size
    shifted: bool
    hidden: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_NxTxHxWxC: jax.Array) -> jax.Array:
        """Returns [N, T, H, W, C]."""
        x = x_NxTxHxWxC.astype(at_least_float32(self.dtype))
        axes = list(zip(x.shape[1:4], self.window))
        window = tuple(min(side, most) for side, most in axes)
        shift = tuple(most // 2 if self.shifted and side > most else 0 for side, most in axes)
        table = self.param(
            "position_bias",
            nn.initializers.normal(0.02),
            (math.prod(2 * side - 1 for side in self.window), self.heads),
        )
        # The published networks number the places of a full window and keep the first ones in a smaller
        # window; that is the same window only where nothing but time is shorter.
        tokens = math.prod(window)
        bias = jnp.moveaxis(table[_relative_places(self.window)[:tokens, :tokens]], -1, 0)[
            None, None
        ]
        if any(shift):
            bias += _seams(x.shape[1:4], window, shift)

        norm = partial(layer_norm, epsilon=EPSILON, dtype=self.dtype)
        windows = _to_windows(norm("norm1")(x), window, shift)
        y = SelfAttention(self.heads, self.dtype, name="attn")(windows, bias)
        x = x + _from_windows(y, x.shape, window, shift)
        return x + Mlp(self.hidden, self.dtype, name="mlp")(norm("norm2")(x))


def published_block(
    prefix: str, rest: Sequence[str], mlp: tuple[str, str] = ("mlp.fc1", "mlp.fc2")
) -> Source:
    """Tensors of a layer of a block, which differ between repositories only in the names of the MLP.

    Args:
      prefix: name of the block.
      rest: path of the layer within the block, like `("attn", "qkv")`.
      mlp: names of the two layers of the MLP.
    """
    *_, layer = rest
    if layer == "position_bias":
        return f"{prefix}.attn.relative_position_bias_table"
    names = {"qkv": "attn.qkv", "proj": "attn.proj"} | dict(zip(("fc1", "fc2"), mlp))
    return torch_plain(f"{prefix}.{names.get(layer, layer)}")


def _padded(size: Sequence[int], window: Sequence[int]) -> Size:
    """Whole windows that hold the map; what is added are zeros behind it, which are attended to."""
    time, height, width = (-(-side // part) * part for side, part in zip(size, window))
    return time, height, width


def _grid(x: jax.Array, window: Size) -> jax.Array:
    """[N, T, H, W, C] → [N, windows, tokens, C]; sides must be whole windows."""
    batch, *size, channels = x.shape
    split = [part for side, step in zip(size, window) for part in (side // step, step)]
    x = x.reshape(batch, *split, channels).transpose(0, 1, 3, 5, 2, 4, 6, 7)
    return x.reshape(batch, -1, math.prod(window), channels)


def _to_windows(x: jax.Array, window: Size, shift: Size) -> jax.Array:
    """[N, T, H, W, C] → [N, windows, tokens, C], padded and rolled."""
    size = x.shape[1:4]
    pads = [(0, whole - side) for side, whole in zip(size, _padded(size, window))]
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    return _grid(jnp.roll(x, [-step for step in shift], axis=(1, 2, 3)), window)


def _from_windows(x: jax.Array, shape: Sequence[int], window: Size, shift: Size) -> jax.Array:
    """[N, windows, tokens, C] → [N, T, H, W, C], the reverse of `_to_windows`."""
    batch, time, height, width, channels = shape
    whole = _padded((time, height, width), window)
    x = x.reshape(batch, *(a // b for a, b in zip(whole, window)), *window, channels)
    x = x.transpose(0, 1, 4, 2, 5, 3, 6, 7).reshape(batch, *whole, channels)
    return jnp.roll(x, shift, axis=(1, 2, 3))[:, :time, :height, :width]


def _relative_places(window: Size) -> np.ndarray:
    """[tokens, tokens] row of the table for each pair: the difference of their places, counted through."""
    places = np.stack(np.meshgrid(*map(np.arange, window), indexing="ij"), -1).reshape(-1, 3)
    sides = np.array(window)
    difference = places[:, None] - places[None] + sides - 1
    return np.ravel_multi_index(np.moveaxis(difference, -1, 0), tuple(2 * sides - 1))


def _seams(size: Sequence[int], window: Size, shift: Size) -> jax.Array:
    """[1, windows, 1, tokens, tokens] `APART` for pairs of the rolled map that the seam parts, else 0."""
    whole = _padded(size, window)
    # From iota, so that what is built of it for large maps is no constant of the program.
    regions = jnp.zeros(whole, jnp.int32)
    for axis, (side, part, step) in enumerate(zip(whole, window, shift)):
        place = jax.lax.broadcasted_iota(jnp.int32, whole, axis)
        inside = (place >= side - part).astype(jnp.int32) + (place >= side - step)
        regions = 3 * regions + inside
    region = _grid(regions[None, ..., None], window)[..., 0]
    apart = region[:, :, None, :, None] != region[:, :, None, None, :]
    return jnp.where(apart, APART, 0.0)
