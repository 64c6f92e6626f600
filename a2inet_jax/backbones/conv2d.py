"""Convolution and maximum over the places of images, in the form that is fastest where they run.

On a GPU XLA's own convolution is cuDNN's. On a CPU it is slower than what the layer can be rewritten to
(two cores, float32, maps of frames of 540×960):

- 1×1: one matrix product of all places takes half to nine tenths of the time in most layers.
- 3×3, stride 1, at least 128 channels: Winograd's minimal filtering takes six to eight tenths. Its error is
  1e-6 of the largest value, the convolution's 5e-7; tiles of 4×4 instead of 2×2 have 1e-5 and gain nothing.
- Others: XLA's convolution. Columns side by side for one product (im2col), sums of shifted products, and a
  first layer whose pixels are gathered into channels took as long at best, and up to ten times as long.
"""

from collections.abc import Sequence
from functools import partial, reduce

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

# Winograd's form pays with this many channels on either side, and tiles to share the transformed kernel.
_LEAST_CHANNELS = 128
_LEAST_TILES = 96


class Conv(nn.Module):
    """A convolution over height and width, with a bias.

    Attributes:
      channels: of the output.
      kernel: side of the window.
      stride: between windows.
      same: TensorFlow's `SAME` padding; PyTorch's symmetric half window otherwise.
      dtype: of the computation; parameters are float32, the kernel [kernel, kernel, in, out].
    """

    channels: int
    kernel: int = 1
    stride: int = 1
    same: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxHxWxC: jax.Array) -> jax.Array:
        """Returns [B, ⌈H/stride⌉, ⌈W/stride⌉, channels]."""
        window, stride = (self.kernel, self.kernel), (self.stride, self.stride)
        shape = (*window, x_BxHxWxC.shape[-1], self.channels)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.channels,)).astype(self.dtype)
        pads = window_pads(x_BxHxWxC.shape[1:3], window, stride, self.same)
        y = convolve(x_BxHxWxC.astype(self.dtype), kernel, stride, pads)
        return y + bias.reshape(1, 1, 1, -1)


def convolve(
    x_BxHxWxI: jax.Array,
    kernel_HxWxIxO: jax.Array,
    strides: Sequence[int],
    pads: Sequence[tuple[int, int]],
) -> jax.Array:
    """Images ∗ kernel (a cross-correlation), without a bias.

    Beside its output, Winograd's form needs about nine times the memory of its input on a CPU, for all
    images at once: give it one after another there.

    Args:
      x_BxHxWxI: images.
      kernel_HxWxIxO: of the same dtype.
      strides: between windows, down and across.
      pads: zeros before and after, down and across.

    Returns:
      [B, h, w, O] of the same dtype.
    """
    window, channels = kernel_HxWxIxO.shape[:2], kernel_HxWxIxO.shape[2:]
    layout = ("NHWC", "HWIO", "NHWC")
    convolution = partial(
        lax.conv_general_dilated, window_strides=strides, padding=pads, dimension_numbers=layout
    )
    tiles = len(x_BxHxWxI)
    for side, length, (before, after) in zip(window, x_BxHxWxI.shape[1:3], pads):
        tiles *= (before + length + after - side + 2) // 2
    if window == (1, 1) and not any(map(any, pads)):
        on_cpu = partial(_product, strides=strides)
    elif (
        window == (3, 3)
        and tuple(strides) == (1, 1)
        and min(channels) >= _LEAST_CHANNELS
        and tiles >= _LEAST_TILES
        and x_BxHxWxI.dtype.itemsize >= 4  # its sums cost a digit that narrower numbers don't have
    ):
        on_cpu = partial(_winograd, pads=pads)
    else:
        return convolution(x_BxHxWxI, kernel_HxWxIxO)
    return lax.platform_dependent(x_BxHxWxI, kernel_HxWxIxO, cpu=on_cpu, default=convolution)


def max_pool(
    x_BxHxWxC: jax.Array, window: int, stride: int, pads: Sequence[tuple[int, int]]
) -> jax.Array:
    """Largest value under a square window; padding doesn't count.

    As maxima of shifted images, which XLA computes in one loop together with what comes before.

    Args:
      x_BxHxWxC: images.
      window: its side.
      stride: between windows.
      pads: places before and after, down and across.

    Returns:
      [B, h, w, C].
    """
    y = jnp.pad(x_BxHxWxC, ((0, 0), *pads, (0, 0)), constant_values=-jnp.inf)
    for axis in (1, 2):
        y = reduce(jnp.maximum, taps(y, window, stride, axis))
    return y


def taps(x: jax.Array, window: int, stride: int, axis: int) -> list[jax.Array]:
    """The first entry of every window along an axis, the second of every one, and so on."""
    reach = stride * ((x.shape[axis] - window) // stride) + 1
    return [lax.slice_in_dim(x, i, i + reach, stride, axis) for i in range(window)]


def window_pads(
    sizes: Sequence[int], window: Sequence[int], stride: Sequence[int], same: bool
) -> list[tuple[int, int]]:
    """What is added before and after each axis: TensorFlow's `SAME`, or PyTorch's symmetric half window."""
    if same:
        return list(lax.padtype_to_pads(sizes, window, stride, "SAME"))
    return [(side // 2, side // 2) for side in window]


def _product(x_BxHxWxI: jax.Array, kernel_1x1xIxO: jax.Array, strides: Sequence[int]) -> jax.Array:
    """A 1×1 convolution: one matrix product."""
    x = x_BxHxWxI[:, :: strides[0], :: strides[1]]
    return (x.reshape(-1, x.shape[-1]) @ kernel_1x1xIxO[0, 0]).reshape(*x.shape[:-1], -1)


def _winograd(
    x_BxHxWxI: jax.Array, kernel_3x3xIxO: jax.Array, pads: Sequence[tuple[int, int]]
) -> jax.Array:
    """F(2×2, 3×3) of Lavin and Gray (CVPR 2016): Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A for tiles d of 4×4.

    16 matrix products of all tiles at once give 2×2 places of each, where 36 would be needed.
    """
    batch, height, width, inputs = x_BxHxWxI.shape
    outputs = kernel_3x3xIxO.shape[-1]
    h, w = (sum(pad) + side - 2 for pad, side in zip(pads, (height, width)))
    whole = [(before, after + side % 2) for (before, after), side in zip(pads, (h, w))]
    x = jnp.pad(x_BxHxWxI, ((0, 0), *whole, (0, 0)))
    # Kept apart from the next step: else every row is computed anew for each column.
    rows = lax.optimization_barrier(_tile_sums(taps(x, 4, 2, axis=1)))
    taps_4x4 = map(_kernel_sums, _kernel_sums(kernel_3x3xIxO))
    products = [
        [tile.reshape(-1, inputs) @ tap for tile, tap in zip(_tile_sums(taps(row, 4, 2, 2)), line)]
        for row, line in zip(rows, taps_4x4)
    ]
    down = [_output_sums(column) for column in zip(*products)]
    y = jnp.stack([jnp.stack(_output_sums(line), axis=1) for line in zip(*down)], axis=1)
    y_BxhxwxIxJxO = y.reshape(batch, (h + 1) // 2, (w + 1) // 2, 2, 2, outputs)
    y = y_BxhxwxIxJxO.swapaxes(2, 3).reshape(batch, h + h % 2, w + w % 2, outputs)
    return y[:, :h, :w]


def _tile_sums(d: Sequence[jax.Array]) -> list[jax.Array]:
    """Bᵀd."""
    return [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]


def _kernel_sums(g: jax.Array) -> list[jax.Array]:
    """Gg."""
    return [g[0], (g[0] + g[1] + g[2]) / 2, (g[0] - g[1] + g[2]) / 2, g[2]]


def _output_sums(m: Sequence[jax.Array]) -> list[jax.Array]:
    """Aᵀm."""
    return [m[0] + m[1] + m[2], m[1] - m[2] - m[3]]
