"""A convolution over time as one matrix product."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype
from jax.typing import DTypeLike

from a2inet_jax.config import Model
from a2inet_jax.model.linear import torch_uniform


class TemporalConvolution(nn.Module):
    """y_t = b + Σ_k W_k x_{t + k − ⌊(K − 1) / 2⌋}, k = 0 … K − 1; zeros lie beyond the array's ends.

    Parameters and result are those of `flax.linen.Conv`; it starts within torch's range. The frames
    that an output sees stand side by side, so that there is one large product: the gradient of XLA's
    convolution is slow inside a loop on a CPU.
    """

    features: int
    kernel: int = Model.kernel
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxTxC: jax.Array) -> jax.Array:
        """Returns `[B, T, features]`."""
        _, frames, channels = x_BxTxC.shape
        shape = (self.kernel, channels, self.features)
        kernel = self.param("kernel", torch_uniform, shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        x, kernel, bias = promote_dtype(x_BxTxC, kernel, bias, dtype=self.dtype)
        before = (self.kernel - 1) // 2
        padded = jnp.pad(x, ((0, 0), (before, self.kernel - 1 - before), (0, 0)))
        seen_BxTxKC = jnp.concatenate(
            [padded[:, k : k + frames] for k in range(self.kernel)], axis=-1
        )
        rows = seen_BxTxKC.reshape(-1, self.kernel * channels) @ kernel.reshape(-1, self.features)
        return rows.reshape(*seen_BxTxKC.shape[:2], self.features) + bias[None, None, :]
