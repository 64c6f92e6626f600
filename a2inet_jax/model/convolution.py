"""Convolution over time as one matrix product."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype
from jax.typing import DTypeLike

from a2inet_jax.config import Model
from a2inet_jax.model.linear import torch_uniform


class TemporalConvolution(nn.Module):
    """y_t = b + Σ_k W_k x_{t + k − ⌊(K − 1) / 2⌋}, k = 0 … K − 1, with zeros beyond the array's ends.

    Parameters and result are those of `flax.linen.Conv`; initial weights are in torch's range. The
    frames of each window are concatenated, so that there is one large product: the gradient of XLA's
    convolution is slow inside a loop on a CPU.
    """

    features: int
    kernel: int = Model.kernel
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxTxC: jax.Array) -> jax.Array:
        """Return `[B, T, features]`."""
        _, frames, channels = x_BxTxC.shape
        shape = (self.kernel, channels, self.features)
        kernel = self.param("kernel", torch_uniform, shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        x, kernel, bias = promote_dtype(x_BxTxC, kernel, bias, dtype=self.dtype)
        before = (self.kernel - 1) // 2
        padded = jnp.pad(x, ((0, 0), (before, self.kernel - 1 - before), (0, 0)))
        windows_BxTxKC = jnp.concatenate(
            [padded[:, k : k + frames] for k in range(self.kernel)], axis=-1
        )
        y_NxF = windows_BxTxKC.reshape(-1, self.kernel * channels) @ kernel.reshape(
            -1, self.features
        )
        return y_NxF.reshape(*windows_BxTxKC.shape[:2], self.features) + bias[None, None, :]
