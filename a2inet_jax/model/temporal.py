"""From features over time to a video's score: GRU, frame scores, subjectively-inspired pooling."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from a2inet_jax.model.linear import Linear, torch_uniform
from a2inet_jax.model.masking import mean, zero_padding
from a2inet_jax.model.outputs import Outputs


class GRU(nn.Module):
    """A gated recurrent unit over time, with torch's equations, starting from a state of zeros.

    r = σ(W_ir x + b_r + W_hr h), z = σ(W_iz x + b_z + W_hz h),
    n = tanh(W_in x + b_in + r ∘ (W_hn h + b_hn)), h' = (1 − z) ∘ n + z ∘ h.

    torch's second biases of r and z are one with the first. The products with x are made for all
    frames at once, before the loop; gates stand in the order r, z, n. State and gates are float32 or
    wider. There is no mask: no frame is reached by a later one, and padding comes last.
    """

    hidden: int = 32
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxTxC: jax.Array) -> jax.Array:
        """Returns the states after each frame, `[B, T, hidden]`."""
        wide = jnp.promote_types(self.dtype, jnp.float32)
        # torch draws both matrices from U(−1/√hidden, 1/√hidden), whatever the input's width.
        start = nn.initializers.variance_scaling(
            x_BxTxC.shape[-1] / (3 * self.hidden), "fan_in", "uniform"
        )
        from_input = Linear(3 * self.hidden, dtype=self.dtype, kernel_init=start, name="input")(
            x_BxTxC
        )
        kernel = self.param("recurrent_kernel", torch_uniform, (self.hidden, 3 * self.hidden))
        bias_n = self.param("recurrent_bias", nn.initializers.zeros, (self.hidden,))
        kernel, bias_n = kernel.astype(wide), bias_n.astype(wide)[None, :]

        def step(h_BxH: jax.Array, from_input_Bx3H: jax.Array) -> tuple[jax.Array, jax.Array]:
            input_r, input_z, input_n = jnp.split(from_input_Bx3H, 3, axis=-1)
            hidden_r, hidden_z, hidden_n = jnp.split(h_BxH @ kernel, 3, axis=-1)
            r = nn.sigmoid(input_r + hidden_r)
            z = nn.sigmoid(input_z + hidden_z)
            n = jnp.tanh(input_n + r * (hidden_n + bias_n))
            h_BxH = (1 - z) * n + z * h_BxH
            return h_BxH, h_BxH

        zeros = jnp.zeros((x_BxTxC.shape[0], self.hidden), wide)
        over_time = jnp.swapaxes(from_input.astype(wide), 0, 1)
        # An accelerator spends its time on starting the loop's turns; a CPU only compiles longer.
        unroll = 1 if jax.default_backend() == "cpu" else 8
        _, states_TxBxH = jax.lax.scan(step, zeros, over_time, unroll=unroll)
        return jnp.swapaxes(states_TxBxH, 0, 1)


def subjective_pooling(
    q_BxT: jax.Array, mask_BxT: jax.Array, tau: int = 12, beta: float = 0.5
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
        tau: frames of each window.
        beta: weight of the present.

    Returns:
        q', `[B, T]`, 0 in the padding. A video's score is its mean over the video's frames.
    """

    def windows(x_BxT: jax.Array, before: int, after: int, beyond: float | bool) -> jax.Array:
        """`[B, T, τ]`: the entries from t − before to t + after, `beyond` outside of the array."""
        padded = jnp.pad(x_BxT, ((0, 0), (before, after)), constant_values=beyond)
        frames = x_BxT.shape[1]
        return jnp.stack([padded[:, k : k + frames] for k in range(before + 1 + after)], axis=-1)

    q_BxT = jnp.where(mask_BxT, q_BxT, 0)
    memory = jnp.min(windows(q_BxT, tau - 1, 0, jnp.inf), axis=-1)
    present_BxTxK = windows(q_BxT, 0, tau - 1, 0.0)
    valid_BxTxK = windows(mask_BxT, 0, tau - 1, False)
    # Σ q e^{−q} / Σ e^{−q} weighs by a softmax of −q, which cannot overflow; the lowest finite
    # number drops a frame.
    logits = jnp.where(valid_BxTxK, -present_BxTxK, jnp.finfo(q_BxT.dtype).min)
    present = jnp.sum(nn.softmax(logits) * present_BxTxK, axis=-1)
    return jnp.where(mask_BxT, beta * present + (1 - beta) * memory, 0)


class TemporalNetwork(nn.Module):
    """FC to `neck` features, GRU, FC to a frame score q_t, and the mean of the pooled q'_t."""

    neck: int = 128
    hidden: int = 32
    tau: int = 12
    beta: float = 0.5
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxTxC: jax.Array, mask_BxT: jax.Array) -> Outputs:
        """Returns the scores of features `[B, T, C]`, whose padding must be finite."""
        wide = jnp.promote_types(self.dtype, jnp.float32)
        reduced = Linear(self.neck, dtype=self.dtype, name="neck")(x_BxTxC)
        states = GRU(self.hidden, self.dtype, name="gru")(reduced)
        q_BxTx1 = Linear(1, dtype=wide, name="score")(states)
        q_BxT = zero_padding(q_BxTx1, mask_BxT)[:, :, 0]
        pooled = subjective_pooling(q_BxT, mask_BxT, self.tau, self.beta)
        return Outputs(score=mean(pooled, mask_BxT), frame_scores=q_BxT)
