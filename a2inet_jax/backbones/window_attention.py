"""Shifted-window transformer block of Video Swin and MANIQA (Liu et al., ICCV 2021; for video CVPR 2022).

A grid over time, height and width divides the map into windows, and tokens attend within their window; a
frame is a clip of length one. In every second block the grid is shifted by half a window: the map is rolled,
and tokens on opposite sides of the seam don't attend to each other.
"""

import math
from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from a2inet_jax.backbones.convert import TensorNames, torch_plain
from a2inet_jax.backbones.vit import Mlp, SelfAttention, at_least_float32, layer_norm

EPSILON = 1e-5  # of the layer norms
MASKED = -100.0  # added to logits across the seam

Size = tuple[int, ...]  # in time, height and width


class SwinBlock(nn.Module):
    """x + attention in windows(norm(x)), then x + MLP(norm(x)).

    Attributes:
        heads: Attention heads.
        window: Tokens of a window in time, height and width. An axis that is no longer than the window is one
            window, without shift.
        shifted: Shift the grid by half a window.
        hidden: Hidden channels of the MLP.
    """

    heads: int
    window: Size
    shifted: bool
    hidden: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_NxTxHxWxC: jax.Array) -> jax.Array:
        """Return [N, T, H, W, C]."""
        # The window and shift that fit the map.
        x = x_NxTxHxWxC.astype(at_least_float32(self.dtype))
        axes = list(zip(x.shape[1:4], self.window))
        window = tuple(min(side, full) for side, full in axes)
        shift = tuple(full // 2 if self.shifted and side > full else 0 for side, full in axes)

        # The position bias, and the mask of the seams.
        bias_PxH = self.param(
            "position_bias",
            nn.initializers.normal(0.02),
            (math.prod(2 * side - 1 for side in self.window), self.heads),
        )
        # The published networks number the positions of a full window, and a smaller window takes the first
        # of them. These are its own positions only if just the time axis is shorter.
        tokens = math.prod(window)
        index_NxN = _relative_positions(self.window)[:tokens, :tokens]
        bias = jnp.moveaxis(bias_PxH[index_NxN], -1, 0)[None, None]
        if any(shift):
            bias += _seam_mask(x.shape[1:4], window, shift)

        # Attention within windows, and the MLP.
        norm = partial(layer_norm, epsilon=EPSILON, dtype=self.dtype)
        windows = _to_windows(norm("norm1")(x), window, shift)
        y = SelfAttention(self.heads, self.dtype, name="attn")(windows, bias)
        x = x + _from_windows(y, x.shape, window, shift)
        return x + Mlp(self.hidden, self.dtype, name="mlp")(norm("norm2")(x))


def published_block(
    prefix: str, rest: Sequence[str], mlp: tuple[str, str] = ("mlp.fc1", "mlp.fc2")
) -> TensorNames:
    """Return the published names of a layer's tensors; repositories differ only in the MLP's.

    Args:
        prefix: Published name of the block.
        rest: Path of the layer within the block, such as `("attn", "qkv")`.
        mlp: Published names of the MLP's two layers.
    """
    *_, layer = rest
    if layer == "position_bias":
        return f"{prefix}.attn.relative_position_bias_table"
    names = {"qkv": "attn.qkv", "proj": "attn.proj"} | dict(zip(("fc1", "fc2"), mlp))
    return torch_plain(f"{prefix}.{names.get(layer, layer)}")


def _padded(size: Sequence[int], window: Sequence[int]) -> Size:
    """Return the map's size in whole windows. The zeros added at the end take part in the attention."""
    time, height, width = (-(-side // step) * step for side, step in zip(size, window))
    return time, height, width


def _grid(x: jax.Array, window: Size) -> jax.Array:
    """Reshape [N, T, H, W, C] to [N, windows, tokens, C]; sides must be multiples of the window's."""
    batch, *size, channels = x.shape
    split = [length for side, step in zip(size, window) for length in (side // step, step)]
    x = x.reshape(batch, *split, channels).transpose(0, 1, 3, 5, 2, 4, 6, 7)
    return x.reshape(batch, -1, math.prod(window), channels)


def _to_windows(x: jax.Array, window: Size, shift: Size) -> jax.Array:
    """Pad and roll [N, T, H, W, C] and reshape it to [N, windows, tokens, C]."""
    size = x.shape[1:4]
    pads = [(0, padded - side) for side, padded in zip(size, _padded(size, window))]
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    return _grid(jnp.roll(x, [-step for step in shift], axis=(1, 2, 3)), window)


def _from_windows(x: jax.Array, shape: Sequence[int], window: Size, shift: Size) -> jax.Array:
    """Undo `_to_windows`: reshape [N, windows, tokens, C] to [N, T, H, W, C], roll back and crop."""
    batch, time, height, width, channels = shape
    padded = _padded((time, height, width), window)
    x = x.reshape(batch, *(side // step for side, step in zip(padded, window)), *window, channels)
    x = x.transpose(0, 1, 4, 2, 5, 3, 6, 7).reshape(batch, *padded, channels)
    return jnp.roll(x, shift, axis=(1, 2, 3))[:, :time, :height, :width]


def _relative_positions(window: Size) -> np.ndarray:
    """Return [tokens, tokens]: for each pair of tokens, the index of their relative position."""
    positions_Nx3 = np.stack(np.meshgrid(*map(np.arange, window), indexing="ij"), -1).reshape(-1, 3)
    sides = np.array(window)
    difference_NxNx3 = positions_Nx3[:, None] - positions_Nx3[None] + sides - 1
    return np.ravel_multi_index(np.moveaxis(difference_NxNx3, -1, 0), tuple(2 * sides - 1))


def _seam_mask(size: Sequence[int], window: Size, shift: Size) -> jax.Array:
    """Return [1, windows, 1, tokens, tokens]: `MASKED` for pairs that a seam separates, else 0."""
    padded = _padded(size, window)
    # Number the regions between seams. From iota, so that large maps put no large constant into the program.
    regions = jnp.zeros(padded, jnp.int32)
    for axis, (side, length, step) in enumerate(zip(padded, window, shift)):
        index = jax.lax.broadcasted_iota(jnp.int32, padded, axis)
        along_axis = (index >= side - length).astype(jnp.int32) + (index >= side - step)
        regions = 3 * regions + along_axis
    region = _grid(regions[None, ..., None], window)[..., 0]
    separated = region[:, :, None, :, None] != region[:, :, None, None, :]
    return jnp.where(separated, MASKED, 0.0)
