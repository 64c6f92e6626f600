"""VSFA's head, the baseline (Li et al., "Quality Assessment of In-the-Wild Videos", MM 2019)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from a2inet_jax.model.masking import zero_padding
from a2inet_jax.model.outputs import Outputs
from a2inet_jax.model.temporal import TemporalNetwork


class VSFA(nn.Module):
    """The temporal network alone, on the streams' features side by side; fields as in `A2INet`."""

    neck: int = 128
    hidden: int = 32
    tau: int = 12
    beta: float = 0.5
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, streams: Sequence[jax.Array], mask: jax.Array) -> Outputs:
        """Scores a batch.

        Args:
            streams: One or more `[B, T, width]`, any float type; anything may stand in the padding.
            mask: `[B, T]` bool, True for each video's frames, False behind its end.

        Returns:
            The scores, and each frame's.
        """
        features = zero_padding(jnp.concatenate(list(streams), axis=-1), mask)
        return TemporalNetwork(
            self.neck, self.hidden, self.tau, self.beta, self.dtype, name="temporal"
        )(features, mask)
