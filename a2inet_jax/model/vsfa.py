"""VSFA's head, the baseline (Li et al., "Quality Assessment of In-the-Wild Videos", MM 2019)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from a2inet_jax.config import Model, Pooling
from a2inet_jax.model.masking import zero_padding
from a2inet_jax.model.outputs import Outputs
from a2inet_jax.model.temporal import TemporalNetwork


class VSFA(nn.Module):
    """The temporal network alone, on the streams' features side by side.

    Attributes:
        tail: Each stream's last features that are used, 0 for all of them. VSFA itself takes a
            ResNet-50's last stage only, the last 4096 of our 7680.
        neck: This and the rest as in `A2INet`.
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
        self, streams: Sequence[jax.Array], mask: jax.Array, keys: jax.Array | None = None
    ) -> Outputs:
        """Scores a batch.

        Args:
            streams: One or more `[B, T, width]`, any float type; anything may stand in the padding.
            mask: `[B, T]` bool, True for each video's frames, False behind its end.
            keys: Not used: nothing is random here. `A2INet` takes them.

        Returns:
            The scores, and each frame's.

        Raises:
            ValueError: There is no stream, a stream has fewer than `tail` features, or `pooling` is
                none of its values.
        """
        widths = [stream.shape[-1] for stream in streams]
        if not widths or min(widths) < self.tail:
            raise ValueError(
                f"VSFA takes streams of at least tail = {self.tail} features, not {widths}"
            )
        # −0 takes all of them.
        used = [stream[..., -self.tail :] for stream in streams]
        return TemporalNetwork(
            self.neck, self.hidden, self.pooling, self.tau, self.beta, self.dtype, name="temporal"
        )(zero_padding(jnp.concatenate(used, axis=-1), mask), mask)
