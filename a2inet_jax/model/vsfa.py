"""VSFA's head, a baseline (Li et al., "Quality Assessment of In-the-Wild Videos", MM 2019)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from a2inet_jax.config import Model, Pooling
from a2inet_jax.errors import ConfigError
from a2inet_jax.model.masking import zero_padding
from a2inet_jax.model.outputs import Outputs
from a2inet_jax.model.temporal import TemporalNetwork


class VSFA(nn.Module):
    """The temporal network alone, on the concatenated features of the streams.

    `neck` and the following fields are those of `A2INet`.

    Attributes:
        tail: Number of last features used from each stream, 0 for all. VSFA itself uses only the last
            stage of a ResNet-50, the last 4096 of our 7680.
    """

    tail: int = Model.tail
    neck: int = Model.neck
    hidden: int = Model.hidden
    pooling: Pooling = Model.pooling
    tau: int = Model.tau
    beta: float = Model.beta
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, streams: Sequence[jax.Array], mask_BxT: jax.Array, keys_B: jax.Array | None = None
    ) -> Outputs:
        """Score a batch.

        Args:
            streams: One or more `[B, T, width]`, any float dtype; the padding may hold anything.
            mask_BxT: `[B, T]` bool, True for each video's frames, False after its end.
            keys_B: Unused, for compatibility with `A2INet`: nothing is random here.

        Returns:
            Video scores and frame scores.

        Raises:
            ConfigError: There is no stream, a stream has fewer than `tail` features, or `pooling` has
                none of its values.
        """
        widths = [stream.shape[-1] for stream in streams]
        if not widths or min(widths) < self.tail:
            raise ConfigError(
                f"VSFA takes streams of at least tail = {self.tail} features, not {widths}"
            )
        # If tail is 0, the slice from −0 takes all.
        used = [stream[..., -self.tail :] for stream in streams]
        return TemporalNetwork(
            self.neck, self.hidden, self.pooling, self.tau, self.beta, self.dtype, name="temporal"
        )(zero_padding(jnp.concatenate(used, axis=-1), mask_BxT), mask_BxT)
