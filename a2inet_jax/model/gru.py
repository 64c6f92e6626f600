"""A gated recurrent unit, whose backward pass goes over all frames at once."""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from a2inet_jax.config import Model
from a2inet_jax.model.layers import Linear, torch_uniform


@jax.custom_vjp
def recurrence(input_BxTx3H: jax.Array, kernel_Hx3H: jax.Array, bias_H: jax.Array) -> jax.Array:
    """States of a GRU that starts from zeros, given what its gates receive from the input.

    The equations are those of `GRU`. Forward, one frame follows the other. Backward, all gates are known
    from the states, and the rest is linear: with J_t = ∂h_t/∂h_{t−1}, the gradient by a state through
    everything later is

    d_t = ∂L/∂h_t + d_{t+1} J_{t+1}.

    Products of J are associative: log T rounds of matrix products, in which all frames take part, replace
    the T iterations of a loop, which an accelerator spends waiting. They take H times the arithmetic,
    little at a GRU's width, and memory for `[B, T, H, H]`. The gradients of kernel and bias are one
    product over all frames.

    Args:
        input_BxTx3H: `[B, T, 3H]`, W_i x + b_i in the order r, z, n.
        kernel_Hx3H: `[H, 3H]`, W_h.
        bias_H: `[H]`, b_hn.

    Returns:
        The states after each frame, `[B, T, H]`; all four arrays have one dtype.
    """

    def step(h_BxH: jax.Array, input_Bx3H: jax.Array) -> tuple[jax.Array, jax.Array]:
        _, z, n, _ = _gates(input_Bx3H, h_BxH, kernel_Hx3H, bias_H)
        h_BxH = (1 - z) * n + z * h_BxH
        return h_BxH, h_BxH

    zeros = jnp.zeros_like(input_BxTx3H[:, 0, : bias_H.shape[0]])
    # Unrolling saves an accelerator the overhead of iterations; a CPU would only compile longer.
    unroll = 1 if jax.default_backend() == "cpu" else 8
    _, states_TxBxH = jax.lax.scan(step, zeros, jnp.swapaxes(input_BxTx3H, 0, 1), unroll=unroll)
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
    # ∂h_t by the inputs of r, z and n: those from x, and those from h_{t−1}.
    by_n = (1 - z) * (1 - n**2)
    by_r, by_z = by_n * hidden_n * r * (1 - r), (before_BxTxH - n) * z * (1 - z)
    by_input, by_hidden = (by_r, by_z, by_n), (by_r, by_z, by_n * r)

    # ∂h_t/∂h_{t−1}, and the gradient by each state.
    kernels = jnp.split(kernel_Hx3H.T, 3)
    jacobian_BxTxHxH = z[..., None] * jnp.eye(z.shape[-1], dtype=z.dtype)[None, None] + sum(
        by[..., None] * kernel[None, None] for by, kernel in zip(by_hidden, kernels)
    )
    d_BxTxH = _through_time(jacobian_BxTxHxH, d_states_BxTxH)

    # The gradients by the arguments.
    d_input_BxTx3H = jnp.concatenate([d_BxTxH * by for by in by_input], axis=-1)
    d_hidden_BxTx3H = jnp.concatenate([d_BxTxH * by for by in by_hidden], axis=-1)
    d_kernel_Hx3H = jnp.einsum(
        "bth,btg->hg", before_BxTxH, d_hidden_BxTx3H, precision=jax.lax.Precision.HIGHEST
    )
    d_bias_H = jnp.sum(d_BxTxH * by_hidden[2], axis=(0, 1))
    return d_input_BxTx3H, d_kernel_Hx3H, d_bias_H


recurrence.defvjp(_forward, _backward)


def _gates(
    input_3H: jax.Array, h_H: jax.Array, kernel_Hx3H: jax.Array, bias_H: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Return r, z, n, and the term that r multiplies, W_hn h + b_hn; each `[..., H]`."""
    # Highest precision: errors add up over time, and at this size a GPU's fast products are no faster.
    hidden_3H = jnp.matmul(h_H, kernel_Hx3H, precision=jax.lax.Precision.HIGHEST)
    input_r, input_z, input_n = jnp.split(input_3H, 3, axis=-1)
    hidden_r, hidden_z, hidden_n = jnp.split(hidden_3H, 3, axis=-1)
    hidden_n = hidden_n + jnp.broadcast_to(bias_H, hidden_n.shape)
    r, z = nn.sigmoid(input_r + hidden_r), nn.sigmoid(input_z + hidden_z)
    return r, z, jnp.tanh(input_n + r * hidden_n), hidden_n


def _through_time(jacobian_BxTxHxH: jax.Array, d_states_BxTxH: jax.Array) -> jax.Array:
    """Return d_t = ∂L/∂h_t + d_{t+1} J_{t+1}, `[B, T, H]`, as a product of the pairs (J_{t+1}, ∂L/∂h_t)."""

    def join(later: tuple[jax.Array, jax.Array], earlier: tuple[jax.Array, jax.Array]) -> tuple:
        product = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
        return product(later[0], earlier[0]), product(later[1], earlier[0]) + earlier[1]

    next_BxTxHxH = jnp.pad(jacobian_BxTxHxH[:, 1:], ((0, 0), (0, 1), (0, 0), (0, 0)))
    rows_BxTx1xH = d_states_BxTxH[:, :, None]
    _, d_BxTx1xH = jax.lax.associative_scan(
        join, (next_BxTxHxH, rows_BxTx1xH), reverse=True, axis=1
    )
    return d_BxTx1xH[:, :, 0]


class GRU(nn.Module):
    """A gated recurrent unit over time, with torch's equations, starting from a state of zeros.

    r = σ(W_ir x + b_r + W_hr h), z = σ(W_iz x + b_z + W_hz h),
    n = tanh(W_in x + b_in + r ∘ (W_hn h + b_hn)), h' = (1 − z) ∘ n + z ∘ h.

    torch's second biases of r and z are one with the first. The products with x are made for all
    frames at once, before the loop; gates are in the order r, z, n. State and gates are float32 or
    wider. There is no mask: no frame depends on a later one, and padding comes last.
    """

    hidden: int = Model.hidden
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxTxC: jax.Array) -> jax.Array:
        """Return the states after each frame, `[B, T, hidden]`."""
        wide = jnp.promote_types(self.dtype, jnp.float32)
        # torch draws both matrices from U(−1/√hidden, 1/√hidden), whatever the input's width.
        input_init = nn.initializers.variance_scaling(
            x_BxTxC.shape[-1] / (3 * self.hidden), "fan_in", "uniform"
        )
        from_input = Linear(
            3 * self.hidden, dtype=self.dtype, kernel_init=input_init, name="input"
        )(x_BxTxC)
        kernel = self.param("recurrent_kernel", torch_uniform, (self.hidden, 3 * self.hidden))
        bias_n = self.param("recurrent_bias", nn.initializers.zeros, (self.hidden,))
        return recurrence(from_input.astype(wide), kernel.astype(wide), bias_n.astype(wide))
