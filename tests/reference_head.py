"""The heads once more, from the paper's equations: float64 NumPy, one video, no mask, no padding.

Of the Flax code these functions know the names and layouts of the parameters, and nothing else.
"""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

Array = np.ndarray
Params = Mapping[str, Any]


def linear(x: Array, params: Params) -> Array:
    return x @ params["kernel"] + params.get("bias", 0.0)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def statistics(x: Array, norm_axis: str) -> tuple[Array, Array]:
    """μ and σ, the variance of the population with 1e-5 added."""
    axis = {"time": 0, "channel": 1}[norm_axis]
    mu = x.mean(axis=axis, keepdims=True)
    variance = ((x - mu) ** 2).mean(axis=axis, keepdims=True)
    return mu, np.sqrt(variance + 1e-5)


def normalize(x: Array, norm_axis: str) -> Array:
    mu, sigma = statistics(x, norm_axis)
    return (x - mu) / sigma


def adain(x: Array, y: Array, norm_axis: str) -> Array:
    """Eq. 1."""
    mu, sigma = statistics(y, norm_axis)
    return sigma * normalize(x, norm_axis) + mu


def deform(x: Array, y: Array, params: Params, norm_axis: str, gamma_1: float) -> Array:
    """Eq. 3; Eq. 2 with γ1 = 0."""
    width = x.shape[1]
    kernel, bias = params["gamma_theta"]["kernel"], params["gamma_theta"]["bias"]
    gamma = y @ kernel[:, :width] + bias[:width]
    theta = y @ kernel[:, width:] + bias[width:]
    return gamma * normalize(x, norm_axis) + theta + gamma_1 * normalize(x, norm_axis)


def cgin(quality: Array, semantic: Array, params: Params, norm_axis: str) -> Array:
    return np.hstack(
        [
            deform(quality, semantic, params["quality_by_semantic"], norm_axis, 1.0),
            deform(semantic, quality, params["semantic_by_quality"], norm_axis, 1.0),
        ]
    )


def attention_map(x: Array, params: Params) -> Array:
    width = x.shape[1]
    kernel = params["query_key_value"]["kernel"]
    query, key = x @ kernel[:, :width], x @ kernel[:, width : 2 * width]
    rows = []
    for q in query:
        weights = np.exp(np.array([q @ k for k in key]) / np.sqrt(width))
        rows.append(weights / weights.sum())
    return np.array(rows)


def attention(x: Array, params: Params) -> Array:
    value = x @ params["query_key_value"]["kernel"][:, 2 * x.shape[1] :]
    return attention_map(x, params) @ value + x


def cagi(
    quality: Array, semantic: Array, params: Params | None, switches: SimpleNamespace
) -> Array:
    axis, params = switches.norm_axis, params or {}
    kind, _, direction = switches.normalization.partition("_")
    if kind == "cgin":
        perceived = cgin(quality, semantic, params["cgin"], axis)
    else:
        # S→Q deforms S to Q: X = S and Y = Q.
        x, y = (semantic, quality) if direction == "s_to_q" else (quality, semantic)
        x = adain(x, y, axis) if kind == "adain" else deform(x, y, params["fgin"], axis, 0.0)
        perceived = np.hstack([quality, x] if direction == "s_to_q" else [x, semantic])
    return attention(perceived, params["attention"]) if switches.attention else perceived


def convolution(x: Array, params: Params) -> Array:
    kernel, bias = params["kernel"], params["bias"]  # [K, D, D], [D]
    reach = len(kernel) // 2
    out = []
    for t in range(len(x)):
        total = bias.copy()
        for offset in range(-reach, reach + 1):
            if 0 <= t + offset < len(x):
                total = total + x[t + offset] @ kernel[offset + reach]
        out.append(total)
    return np.array(out)


def perception(x: Array, pooled: Array, params: Params) -> Array:
    squeezed = np.maximum(linear(pooled, params["squeeze"]), 0)
    return sigmoid(linear(squeezed, params["excite"])) * convolution(x, params["convolution"])


def catm(x: Array, params: Params) -> Array:
    x = linear(x, params["fc"])
    variance = x.var(axis=0, ddof=1) if len(x) > 1 else np.zeros(x.shape[1])
    saliency = perception(x, x.max(axis=0), params["quality_saliency"])
    variation = perception(x, np.sqrt(variance + 1e-12), params["content_variation"])
    return np.hstack([saliency, variation])


def gru(x: Array, params: Params) -> Array:
    """torch's equations, with the biases b_hr and b_hz folded into b_ir and b_iz."""
    size = len(params["recurrent_kernel"])
    w_ir, w_iz, w_in = np.split(params["input"]["kernel"], 3, axis=1)
    b_r, b_z, b_in = np.split(params["input"]["bias"], 3)
    w_hr, w_hz, w_hn = np.split(params["recurrent_kernel"], 3, axis=1)
    h, states = np.zeros(size), []
    for frame in x:
        r = sigmoid(frame @ w_ir + b_r + h @ w_hr)
        z = sigmoid(frame @ w_iz + b_z + h @ w_hz)
        n = np.tanh(frame @ w_in + b_in + r * (h @ w_hn + params["recurrent_bias"]))
        h = (1 - z) * n + z * h
        states.append(h)
    return np.array(states)


def subjective_pooling(q: Array, tau: int, beta: float) -> Array:
    pooled = []
    for t in range(len(q)):
        memory = min(q[max(0, t - tau + 1) : t + 1])
        ahead = q[t : t + tau]
        present = sum(ahead * np.exp(-ahead)) / sum(np.exp(-ahead))
        pooled.append(beta * present + (1 - beta) * memory)
    return np.array(pooled)


def temporal_network(
    x: Array, params: Params, tau: int, beta: float, pooling: str = "subjective"
) -> tuple[float, Array]:
    states = gru(linear(x, params["neck"]), params["gru"])
    q = linear(states, params["score"])[:, 0]
    pooled = q if pooling == "mean" else subjective_pooling(q, tau, beta)
    return float(pooled.mean()), q


def a2inet(
    streams: Sequence[Array], params: Params, dropout: Array | float = 1.0, **changes: Any
) -> tuple[float, Array]:
    """Video score and frame scores q_t of one video; streams are `[T, width]`.

    `dropout` is what each number after the MLP is multiplied by, `changes` are switches of `A2INet`.
    """
    switches = SimpleNamespace(
        fusion="cagi",
        normalization="cgin",
        norm_axis="time",
        attention=True,
        catm=True,
        pooling="subjective",
        tau=12,
        beta=0.5,
    )
    vars(switches).update(changes)
    quality = linear(streams[0], params["quality_fc"])
    semantic = linear(streams[1], params["semantic_fc"])
    fused = np.hstack([quality, semantic])
    if switches.fusion == "cagi":
        fused = cagi(quality, semantic, params.get("cagi"), switches)
    elif switches.fusion == "concat_mlp":
        fused = dropout * np.maximum(linear(fused, params["mlp"]["fc"]), 0)
    if switches.catm:
        fused = catm(fused, params["catm"])
    return temporal_network(
        fused, params["temporal"], switches.tau, switches.beta, switches.pooling
    )


def vsfa(
    streams: Sequence[Array],
    params: Params,
    tail: int = 0,
    tau: int = 12,
    beta: float = 0.5,
    pooling: str = "subjective",
) -> tuple[float, Array]:
    """The same of the baseline."""
    used = np.hstack([stream[:, stream.shape[1] - tail if tail else 0 :] for stream in streams])
    return temporal_network(used, params["temporal"], tau, beta, pooling)
