"""Fully connected layers whose weights start where torch starts them."""

from flax import linen as nn
from flax.typing import Initializer

# U(−1/√fan_in, 1/√fan_in): torch's default, which the paper's learning rate goes with.
torch_uniform: Initializer = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class Linear(nn.Dense):
    """`flax.linen.Dense` with torch's range of initial weights; biases start at zero."""

    kernel_init: Initializer = torch_uniform
