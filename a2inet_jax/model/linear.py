"""Fully connected layer with torch's initial weights."""

import jax
from flax import linen as nn
from flax.typing import Initializer

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
