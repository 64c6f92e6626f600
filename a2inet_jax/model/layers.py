"""Layers with torch's initial weights, and the output of a model."""

import flax.struct
import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype
from flax.typing import Initializer
from jax.typing import DTypeLike

from a2inet_jax.config import Model
from a2inet_jax.errors import ConfigError

# U(−1/√fan_in, 1/√fan_in), torch's default, for which the paper's learning rate was chosen.
torch_uniform: Initializer = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class Linear(nn.Dense):
    """`flax.linen.Dense` with torch's range of initial weights; biases start at zero."""

    kernel_init: Initializer = torch_uniform

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Map `[…, C]` to `[…, features]`."""
        # As one matrix of rows: with more axes, XLA would copy transposed arrays for the kernel's gradient.
        rows = super().__call__(inputs.reshape(-1, inputs.shape[-1]))
        return rows.reshape(*inputs.shape[:-1], self.features)


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


def dropout(x_BxTxC: jax.Array, rate: float, keys_B: jax.Array) -> jax.Array:
    """Zero each number with probability `rate` and divide the others by 1 − rate.

    Frame t of a video draws from the video's key with t folded in: the result depends neither on the
    padding, nor on the other videos of the batch, nor on the batch's layout over devices.

    Args:
        x_BxTxC: `[B, T, C]`.
        rate: A rate from 0 to below 1.
        keys_B: `[B]` typed PRNG keys, one per video.

    Returns:
        `[B, T, C]`.
    """
    _, frames, channels = x_BxTxC.shape

    def keep(key: jax.Array, frame: jax.Array) -> jax.Array:
        return jax.random.bernoulli(jax.random.fold_in(key, frame), 1 - rate, (channels,))

    keep_frames = jax.vmap(keep, in_axes=(None, 0))
    keep_BxTxC = jax.vmap(keep_frames, in_axes=(0, None))(keys_B, jnp.arange(frames))
    return jnp.where(keep_BxTxC, x_BxTxC / (1 - rate), 0)


class MLP(nn.Module):
    """An FC layer (2D → 2D) on the concatenated streams, ReLU and dropout (Table 5)."""

    dropout: float = Model.dropout
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxTxC: jax.Array, keys_B: jax.Array | None) -> jax.Array:
        """Return `[B, T, C]`; nothing is dropped without keys.

        Raises:
            ConfigError: `dropout` is not a rate.
        """
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout}; take a rate from 0 to below 1")
        x = nn.relu(Linear(x_BxTxC.shape[-1], dtype=self.dtype, name="fc")(x_BxTxC))
        return x if keys_B is None else dropout(x, self.dropout, keys_B)


@flax.struct.dataclass
class Outputs:
    """Scores of a batch, on the scale of the labels that the model was trained on.

    Attributes:
        score: `[B]`, float32 or wider: the videos' scores.
        frame_scores: `[B, T]`, same dtype: the frame scores q_t, before temporal pooling; 0 in the
            padding.
    """

    score: jax.Array
    frame_scores: jax.Array
