"""Convolution and max pooling of images, in the form that is fastest on the device they run on.

On a GPU, XLA's convolution is cuDNN's. On a CPU, it is slower than these forms (two cores, float32, feature
maps of 540×960 frames):

- 1×1: one matrix product over all positions takes half to nine tenths of the time in most layers.
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

# Winograd's form pays off from so many input and output channels, and so many tiles per transformed kernel.
_MIN_CHANNELS = 128
_MIN_TILES = 96


class Conv(nn.Module):
    """A convolution over height and width, with a bias.

    Attributes:
        channels: Output channels.
        kernel: Side of the window.
        stride: Distance between windows.
        same: Use TensorFlow's `SAME` padding, not PyTorch's symmetric half window.
        dtype: Compute dtype; parameters are float32, the kernel [kernel, kernel, in, out].
    """

    channels: int
    kernel: int = 1
    stride: int = 1
    same: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxHxWxC: jax.Array) -> jax.Array:
        """Return [B, ⌈H/stride⌉, ⌈W/stride⌉, channels]."""
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
    """Convolve images with a kernel (a cross-correlation), without a bias.

    On a CPU, Winograd's form needs about nine times the memory of its input beside the output, for all images
    at once: pass them one at a time there.

    Args:
        kernel_HxWxIxO: Kernel of the images' dtype.
        strides: Vertical and horizontal distance between windows.
        pads: Zeros before and after, vertically and horizontally.

    Returns:
        [B, h, w, O] of the same dtype.
    """
    window, channels = kernel_HxWxIxO.shape[:2], kernel_HxWxIxO.shape[2:]
    layout = ("NHWC", "HWIO", "NHWC")
    convolution = partial(
        lax.conv_general_dilated, window_strides=strides, padding=pads, dimension_numbers=layout
    )
    # Winograd's tiles of 2×2 outputs.
    tiles = len(x_BxHxWxI)
    for side, length, (before, after) in zip(window, x_BxHxWxI.shape[1:3], pads):
        tiles *= (before + length + after - side + 2) // 2
    # The form for a CPU.
    if window == (1, 1) and not any(map(any, pads)):
        on_cpu = partial(_product, strides=strides)
    elif (
        window == (3, 3)
        and tuple(strides) == (1, 1)
        and min(channels) >= _MIN_CHANNELS
        and tiles >= _MIN_TILES
        # Its sums cost a digit, which narrower numbers don't have.
        and x_BxHxWxI.dtype.itemsize >= 4
    ):
        on_cpu = partial(_winograd, pads=pads)
    else:
        return convolution(x_BxHxWxI, kernel_HxWxIxO)
    return lax.platform_dependent(x_BxHxWxI, kernel_HxWxIxO, cpu=on_cpu, default=convolution)


def max_pool(
    x_BxHxWxC: jax.Array, window: int, stride: int, pads: Sequence[tuple[int, int]]
) -> jax.Array:
    """Max-pool images over square windows; padding does not count.

    It takes maxima of shifted images, which XLA fuses with the preceding operations into one loop.

    Args:
        window: Side of the window.
        stride: Distance between windows.
        pads: Positions before and after, vertically and horizontally.
    """
    y = jnp.pad(x_BxHxWxC, ((0, 0), *pads, (0, 0)), constant_values=-jnp.inf)
    for axis in (1, 2):
        y = reduce(jnp.maximum, taps(y, window, stride, axis))
    return y


def taps(x: jax.Array, window: int, stride: int, axis: int) -> list[jax.Array]:
    """Return the first entries of all windows along an axis, the second entries, and so on."""
    span = stride * ((x.shape[axis] - window) // stride) + 1
    return [lax.slice_in_dim(x, i, i + span, stride, axis) for i in range(window)]


def window_pads(
    sizes: Sequence[int], window: Sequence[int], stride: Sequence[int], same: bool
) -> list[tuple[int, int]]:
    """Return the padding of each axis: TensorFlow's `SAME`, or PyTorch's symmetric half window."""
    if same:
        return list(lax.padtype_to_pads(sizes, window, stride, "SAME"))
    return [(side // 2, side // 2) for side in window]


def _product(x_BxHxWxI: jax.Array, kernel_1x1xIxO: jax.Array, strides: Sequence[int]) -> jax.Array:
    """Compute a 1×1 convolution as one matrix product."""
    x = x_BxHxWxI[:, :: strides[0], :: strides[1]]
    return (x.reshape(-1, x.shape[-1]) @ kernel_1x1xIxO[0, 0]).reshape(*x.shape[:-1], -1)


def _winograd(
    x_BxHxWxI: jax.Array, kernel_3x3xIxO: jax.Array, pads: Sequence[tuple[int, int]]
) -> jax.Array:
    """Compute F(2×2, 3×3) of Lavin and Gray (CVPR 2016): Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A for tiles d of 4×4.

    16 matrix products over all tiles give 2×2 positions of each, which would otherwise take 36.
    """
    batch, height, width, inputs = x_BxHxWxI.shape
    outputs = kernel_3x3xIxO.shape[-1]
    # Pad to whole tiles.
    h, w = (sum(pad) + side - 2 for pad, side in zip(pads, (height, width)))
    tile_pads = [(before, after + side % 2) for (before, after), side in zip(pads, (h, w))]
    x = jnp.pad(x_BxHxWxI, ((0, 0), *tile_pads, (0, 0)))
    # Without the barrier, XLA computes every row again for each column.
    rows = lax.optimization_barrier(_tile_sums(taps(x, 4, 2, axis=1)))
    # The 16 products, and the 2×2 outputs of each tile.
    taps_4x4 = map(_kernel_sums, _kernel_sums(kernel_3x3xIxO))
    products = [
        [tile.reshape(-1, inputs) @ tap for tile, tap in zip(_tile_sums(taps(row, 4, 2, 2)), line)]
        for row, line in zip(rows, taps_4x4)
    ]
    down = [_output_sums(column) for column in zip(*products)]
    # Tiles back to images.
    y = jnp.stack([jnp.stack(_output_sums(line), axis=1) for line in zip(*down)], axis=1)
    y_BxhxwxIxJxO = y.reshape(batch, (h + 1) // 2, (w + 1) // 2, 2, 2, outputs)
    y = y_BxhxwxIxJxO.swapaxes(2, 3).reshape(batch, h + h % 2, w + w % 2, outputs)
    return y[:, :h, :w]


def _tile_sums(d: Sequence[jax.Array]) -> list[jax.Array]:
    """Return Bᵀd."""
    return [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]


def _kernel_sums(g: jax.Array) -> list[jax.Array]:
    """Return Gg."""
    return [g[0], (g[0] + g[1] + g[2]) / 2, (g[0] - g[1] + g[2]) / 2, g[2]]


def _output_sums(m: Sequence[jax.Array]) -> list[jax.Array]:
    """Return Aᵀm."""
    return [m[0] + m[1] + m[2], m[1] - m[2] - m[3]]
