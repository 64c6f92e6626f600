"""A gated recurrent unit whose backward loop carries nothing but the state's gradient."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from a2inet_jax.model.linear import Linear, torch_uniform


def _gates(
    input_3H: jax.Array, h_H: jax.Array, kernel_Hx3H: jax.Array, bias_H: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Reset, update and candidate, and what the reset gate stands before: W_hn h + b_hn."""
    input_r, input_z, input_n = jnp.split(input_3H, 3, axis=-1)
    hidden_r, hidden_z, hidden_n = jnp.split(h_H @ kernel_Hx3H, 3, axis=-1)
    hidden_n = hidden_n + jnp.broadcast_to(bias_H, hidden_n.shape)
    r, z = nn.sigmoid(input_r + hidden_r), nn.sigmoid(input_z + hidden_z)
    return r, z, jnp.tanh(input_n + r * hidden_n), hidden_n


def _unroll() -> int:
    # An accelerator spends its time on starting the loop's turns; a CPU only compiles longer.
    return 1 if jax.default_backend() == "cpu" else 8


@jax.custom_vjp
def recurrence(input_BxTx3H: jax.Array, kernel_Hx3H: jax.Array, bias_H: jax.Array) -> jax.Array:
    """States of a GRU that starts from zeros, given what the gates receive from the input.

    The equations are those of `GRU`. The backward pass is written by hand: with d_t the gradient of
    the loss by h_t through everything later, and slopes s_t = ∂h_t/∂(W_h h_{t−1}),

    d_{t−1} = ∂L/∂h_{t−1} + z_t ∘ d_t + W_hᵀ (s_t ∘ d_t).

    The slopes of all frames come from the states alone, before the loop, and the gradients of kernel
    and bias from all d_t after it, each as one product.

    Args:
        input_BxTx3H: `[B, T, 3H]`, W_i x + b_i in the order r, z, n.
        kernel_Hx3H: `[H, 3H]`, W_h.
        bias_H: `[H]`, b_hn.

    Returns:
        The states after each frame, `[B, T, H]`; all four of one type.
    """

    def step(h_BxH: jax.Array, input_Bx3H: jax.Array) -> tuple[jax.Array, jax.Array]:
        _, z, n, _ = _gates(input_Bx3H, h_BxH, kernel_Hx3H, bias_H)
        h_BxH = (1 - z) * n + z * h_BxH
        return h_BxH, h_BxH

    zeros = jnp.zeros_like(input_BxTx3H[:, 0, : bias_H.shape[0]])
    _, states_TxBxH = jax.lax.scan(step, zeros, jnp.swapaxes(input_BxTx3H, 0, 1), unroll=_unroll())
    return jnp.swapaxes(states_TxBxH, 0, 1)


_Saved = tuple[jax.Array, jax.Array, jax.Array, jax.Array]


def _forward(
    input_BxTx3H: jax.Array, kernel_Hx3H: jax.Array, bias_H: jax.Array
) -> tuple[jax.Array, _Saved]:
    states_BxTxH = recurrence(input_BxTx3H, kernel_Hx3H, bias_H)
    return states_BxTxH, (input_BxTx3H, kernel_Hx3H, bias_H, states_BxTxH)


def _backward(saved: _Saved, d_states_BxTxH: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    input_BxTx3H, kernel_Hx3H, bias_H, states_BxTxH = saved
    before_BxTxH = jnp.pad(states_BxTxH, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    r, z, n, hidden_n = _gates(input_BxTx3H, before_BxTxH, kernel_Hx3H, bias_H)
    slope_n = (1 - z) * (1 - n**2)
    slope_r = slope_n * hidden_n * r * (1 - r)
    slope_z = (before_BxTxH - n) * z * (1 - z)
    slopes_BxTx3H = jnp.concatenate([slope_r, slope_z, slope_n * r], axis=-1)

    def step(
        later_BxH: jax.Array, frame: tuple[jax.Array, jax.Array, jax.Array]
    ) -> tuple[jax.Array, jax.Array]:
        d_state_BxH, z_BxH, slopes_Bx3H = frame
        d_BxH = d_state_BxH + later_BxH
        return z_BxH * d_BxH + (slopes_Bx3H * jnp.tile(d_BxH, 3)) @ kernel_Hx3H.T, d_BxH

    frames = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), (d_states_BxTxH, z, slopes_BxTx3H))
    _, d_TxBxH = jax.lax.scan(
        step, jnp.zeros_like(states_BxTxH[:, 0]), frames, reverse=True, unroll=_unroll()
    )
    d_BxTxH = jnp.swapaxes(d_TxBxH, 0, 1)
    d_r, d_z, d_n = slope_r * d_BxTxH, slope_z * d_BxTxH, slope_n * d_BxTxH
    d_hidden_BxTx3H = jnp.concatenate([d_r, d_z, r * d_n], axis=-1)
    d_kernel = jnp.einsum("bth,btg->hg", before_BxTxH, d_hidden_BxTx3H)
    return jnp.concatenate([d_r, d_z, d_n], axis=-1), d_kernel, jnp.sum(r * d_n, axis=(0, 1))


recurrence.defvjp(_forward, _backward)


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
        return recurrence(from_input.astype(wide), kernel.astype(wide), bias_n.astype(wide))
