"""Fully connected layers whose weights start where torch starts them."""

import jax
from flax import linen as nn
from flax.typing import Initializer

# U(−1/√fan_in, 1/√fan_in): torch's default, which the paper's learning rate goes with.
torch_uniform: Initializer = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class Linear(nn.Dense):
    """`flax.linen.Dense` with torch's range of initial weights; biases start at zero."""

    kernel_init: Initializer = torch_uniform

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Returns `[…, features]` of `[…, C]`."""
        # As one matrix of rows: for the kernel's gradient of more axes, XLA would transpose in memory.
        rows = super().__call__(inputs.reshape(-1, inputs.shape[-1]))
        return rows.reshape(*inputs.shape[:-1], self.features)
