"""From features over time to a video's score: GRU, frame scores, subjectively-inspired pooling."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from a2inet_jax.config import Model, Pooling
from a2inet_jax.errors import ConfigError
from a2inet_jax.model.gru import GRU
from a2inet_jax.model.layers import Linear, Outputs
from a2inet_jax.model.masking import mean, zero_padding


def subjective_pooling(
    q_BxT: jax.Array, mask_BxT: jax.Array, tau: int = Model.tau, beta: float = Model.beta
) -> jax.Array:
    """Subjectively-inspired temporal pooling of frame scores, as VSFA's published code has it.

    memory   l_t = min q_k                     over k = t − τ + 1 … t,
    present  m_t = Σ q_k e^{−q_k} / Σ e^{−q_k} over k = t … t + τ − 1,
    q'_t = β · m_t + (1 − β) · l_t: β weighs the present.

    Both windows hold τ frames, t among them, where VSFA's paper writes t − τ … t − 1 and t … t + τ
    and lets its weight go with the memory; at β = 0.5 the weight is the same. Windows are cut at the
    video's ends: VSFA pads the memory with +∞ and the present with q = 10⁴, whose weight e^{−10⁴} is
    zero.

    Args:
        q_BxT: `[B, T]`, float32 or wider: the frame scores.
        mask_BxT: `[B, T]` bool.
        tau: Frames of each window.
        beta: Weight of the present.

    Returns:
        q', `[B, T]`, 0 in the padding. A video's score is its mean over the video's frames.

    Raises:
        ConfigError: `tau` is below 1.
    """
    if tau < 1:
        raise ConfigError(f"tau is {tau}; a window of the temporal pooling holds 1 frame or more")

    def windows(x_BxT: jax.Array, before: int, after: int, beyond: float | bool) -> jax.Array:
        """Return `[B, T, τ]`: the entries from t − before to t + after, `beyond` outside of the array."""
        padded = jnp.pad(x_BxT, ((0, 0), (before, after)), constant_values=beyond)
        frames = x_BxT.shape[1]
        return jnp.stack([padded[:, k : k + frames] for k in range(before + 1 + after)], axis=-1)

    q_BxT = jnp.where(mask_BxT, q_BxT, 0)
    memory_BxT = jnp.min(windows(q_BxT, tau - 1, 0, jnp.inf), axis=-1)
    present_BxTxK = windows(q_BxT, 0, tau - 1, 0.0)
    valid_BxTxK = windows(mask_BxT, 0, tau - 1, False)
    # Σ q e^{−q} / Σ e^{−q} weighs by a softmax of −q, which cannot overflow; the lowest finite
    # number drops a frame.
    logits_BxTxK = jnp.where(valid_BxTxK, -present_BxTxK, jnp.finfo(q_BxT.dtype).min)
    present_BxT = jnp.sum(nn.softmax(logits_BxTxK) * present_BxTxK, axis=-1)
    return jnp.where(mask_BxT, beta * present_BxT + (1 - beta) * memory_BxT, 0)


class TemporalNetwork(nn.Module):
    """FC to `neck` features, GRU, FC to a frame score q_t, and the mean of the pooled q'_t.

    With the pooling "subjective", q' is `subjective_pooling`'s; with "mean", it is q itself.
    """

    neck: int = Model.neck
    hidden: int = Model.hidden
    pooling: Pooling = Model.pooling
    tau: int = Model.tau
    beta: float = Model.beta
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxTxC: jax.Array, mask_BxT: jax.Array) -> Outputs:
        """Return the scores of features `[B, T, C]`, whose padding must be finite.

        Raises:
            ConfigError: `pooling` is neither of the two.
        """
        if self.pooling not in ("subjective", "mean"):
            raise ConfigError(f"pooling is {self.pooling!r}; take 'subjective' or 'mean'")
        wide = jnp.promote_types(self.dtype, jnp.float32)
        neck_BxTxN = Linear(self.neck, dtype=self.dtype, name="neck")(x_BxTxC)
        states_BxTxH = GRU(self.hidden, self.dtype, name="gru")(neck_BxTxN)
        q_BxTx1 = Linear(1, dtype=wide, name="score")(states_BxTxH)
        q_BxT = zero_padding(q_BxTx1, mask_BxT)[:, :, 0]
        pooled_BxT = q_BxT
        if self.pooling == "subjective":
            pooled_BxT = subjective_pooling(q_BxT, mask_BxT, self.tau, self.beta)
        return Outputs(score=mean(pooled_BxT, mask_BxT), frame_scores=q_BxT)
