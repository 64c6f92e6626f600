"""The heads A2INet, in its variants, and VSFA, compared to the equations for any padding."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st

from a2inet_jax.errors import ConfigError
from a2inet_jax.model.a2inet import A2INet
from a2inet_jax.model.layers import MLP
from a2inet_jax.model.vsfa import VSFA
from tests import reference_head as reference
from tests.head_inputs import GARBAGE, WIDTHS, apply, batch, parameters, quick_jit, run, videos

FRAMES = 26  # longer than two windows of the temporal pooling
TAU = 4  # the paper's 12 takes longer to compile


def small(**changes: Any) -> A2INet:
    """Return a tiny A2INet with changed fields."""
    return A2INet(**{"width": 4, "reduction": 2, "neck": 6, "hidden": 3, "tau": TAU, **changes})


VARIANTS: dict[str, dict[str, Any]] = {
    "cagi": {"tau": 12},
    "cagi, channel": {"norm_axis": "channel"},
    "concat": {"fusion": "concat"},
    "concat_mlp": {"fusion": "concat_mlp"},
    "fgin_s_to_q": {"normalization": "fgin_s_to_q"},
    "fgin_q_to_s": {"normalization": "fgin_q_to_s"},
    "adain_s_to_q": {"normalization": "adain_s_to_q"},
    "adain_q_to_s, channel": {"normalization": "adain_q_to_s", "norm_axis": "channel"},
    "no attention": {"attention": False},
    "no catm": {"catm": False},
    "mean": {"pooling": "mean"},
    "beta": {"beta": 0.2},
    "adain alone": {"normalization": "adain_s_to_q", "attention": False, "catm": False},
}
HEADS: dict[str, tuple[nn.Module, Callable[..., tuple[float, np.ndarray]]]] = {
    name: (
        small(**changes, dtype=jnp.float64),
        functools.partial(reference.a2inet, **{"tau": TAU, **changes}),
    )
    for name, changes in VARIANTS.items()
}
HEADS["vsfa"] = (VSFA(neck=6, hidden=3, dtype=jnp.float64), reference.vsfa)
HEADS["vsfa, tail, mean"] = (
    VSFA(tail=3, neck=6, hidden=3, pooling="mean", dtype=jnp.float64),
    functools.partial(reference.vsfa, tail=3, pooling="mean"),
)


@functools.cache
def params_of(name: str) -> Any:
    with jax.enable_x64(True):
        return parameters(HEADS[name][0], *batch(videos([2]), 2))


@functools.partial(quick_jit, static_argnums=0)
@functools.partial(jax.grad, argnums=(1, 2))
def gradients(
    name: str,
    params: Any,
    streams: Any,
    mask: Any,
    weight_B: Any,
    weight_BxT: Any,
    keys: Any = None,
) -> Any:
    """Differentiate a sum in which each video score and each frame score has its own weight."""
    out = apply(HEADS[name][0], params, streams, mask, keys)
    return jnp.sum(out.score * weight_B) + jnp.sum(out.frame_scores * weight_BxT)


@pytest.mark.parametrize("name", HEADS)
@settings(deadline=None, max_examples=12)
@given(
    lengths=st.lists(st.integers(1, FRAMES), min_size=3, max_size=3),
    garbage=st.sampled_from(GARBAGE),
    seed=st.integers(0, 2**16),
)
def test_scores_equal_the_equations_for_any_padding(
    name: str, lengths: list[int], garbage: float, seed: int
) -> None:
    assert_scores(name, videos(lengths, seed), FRAMES, garbage)


@pytest.mark.parametrize("frames", [1, TAU - 1])
@pytest.mark.parametrize("name", HEADS)
def test_a_batch_may_be_shorter_than_a_window_of_the_pooling(name: str, frames: int) -> None:
    assert_scores(name, videos([1, frames]), frames, np.nan)


def assert_scores(
    name: str, clips: list[tuple[np.ndarray, ...]], frames: int, garbage: float
) -> None:
    with jax.enable_x64(True):
        out = run(HEADS[name][0], params_of(name), *batch(clips, frames, garbage))
    for b, clip in enumerate(clips):
        score, q = HEADS[name][1](clip, params_of(name))
        np.testing.assert_allclose(out.score[b], score, rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(out.frame_scores[b, : len(q)], q, rtol=1e-6, atol=1e-12)
        np.testing.assert_array_equal(out.frame_scores[b, len(q) :], 0)


# Together, these have each switch.
@pytest.mark.parametrize("name", ["cagi, channel", "concat_mlp", "adain alone", "vsfa, tail, mean"])
@settings(deadline=None, max_examples=10)
@given(
    # Few lengths, as each is compiled on its own.
    lengths=st.lists(st.sampled_from([1, 5, FRAMES]), min_size=3, max_size=3),
    garbage=st.sampled_from(GARBAGE),
    seed=st.integers(0, 2**16),
)
def test_gradients_are_the_sum_of_each_videos_alone(
    name: str, lengths: list[int], garbage: float, seed: int
) -> None:
    params, clips = params_of(name), videos(lengths, seed)
    rng = np.random.default_rng(seed)
    weight_B, weight_BxT = rng.normal(size=3), rng.normal(size=(3, FRAMES))
    keys = jax.random.split(jax.random.key(seed), 3)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-11)
    with jax.enable_x64(True):
        of_params, of_streams = jax.device_get(
            gradients(name, params, *batch(clips, FRAMES, garbage), weight_B, weight_BxT, keys)
        )
        total = jax.tree.map(np.zeros_like, params)
        for b, (clip, n) in enumerate(zip(clips, lengths)):
            own = weight_B[b : b + 1], weight_BxT[b : b + 1, :n], keys[b : b + 1]
            alone, alone_streams = jax.device_get(gradients(name, params, *batch([clip], n), *own))
            total = jax.tree.map(np.add, total, alone)
            for x, y in zip(of_streams, alone_streams):
                close(x[b, :n], y[0])
                np.testing.assert_array_equal(x[b, n:], 0)
        jax.tree.map(close, of_params, total)


@pytest.mark.parametrize("name", HEADS)
def test_gradients_equal_finite_differences(name: str) -> None:
    """By parameters and features together, the batch padded with NaN and the reference unpadded."""
    clips = videos([13, 4])
    rng = np.random.default_rng(1)
    moves = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), (params_of(name), clips))
    weight_B, weight_BxT = rng.normal(size=2), rng.normal(size=(2, 13))

    def value(step: float) -> float:
        params, moved = jax.tree.map(lambda x, d: x + step * d, (params_of(name), clips), moves)
        results = [HEADS[name][1](clip, params) for clip in moved]
        return sum(
            weight_B[b] * score + weight_BxT[b, : len(q)] @ q
            for b, (score, q) in enumerate(results)
        )

    with jax.enable_x64(True):
        slopes = jax.device_get(
            gradients(name, params_of(name), *batch(clips, 13, np.nan), weight_B, weight_BxT)
        )
    directions = moves[0], batch(moves[1], 13)[0]
    slope = sum(jax.tree.leaves(jax.tree.map(lambda g, d: np.sum(g * d), slopes, directions)))
    difference = (value(1e-6) - value(-1e-6)) / 2e-6
    np.testing.assert_allclose(slope, difference, rtol=1e-6)


def test_dropout_depends_on_a_videos_key_and_frame_alone() -> None:
    """The equations get the same draws for each video; padding and batch have no effect."""
    model, params = HEADS["concat_mlp"][0], params_of("concat_mlp")
    lengths = [FRAMES, 7, 1]
    clips, keys = videos(lengths), jax.random.split(jax.random.key(3), 3)
    with jax.enable_x64(True):
        out = run(model, params, *batch(clips, FRAMES, np.nan), keys)
        for b, (clip, n) in enumerate(zip(clips, lengths)):
            draws = [
                jax.random.bernoulli(jax.random.fold_in(keys[b], t), 0.5, (8,)) for t in range(n)
            ]
            score, q = reference.a2inet(
                clip, params, fusion="concat_mlp", tau=TAU, dropout=np.array(draws) / 0.5
            )
            np.testing.assert_allclose(out.score[b], score, rtol=1e-6)
            np.testing.assert_allclose(out.frame_scores[b, :n], q, rtol=1e-6)


def test_dropout_keeps_the_mean() -> None:
    x = jnp.asarray([[[0.5, -1.0, 2.0, 1.0]]])
    module = MLP(dropout=0.3)
    params = parameters(module, x, None, dtype=np.float32)
    copies = jnp.broadcast_to(x, (4000, 1, 4))
    dropped = run(module, params, copies, jax.random.split(jax.random.key(0), 4000))
    kept = run(module, params, x, None)[0]
    np.testing.assert_allclose(dropped.mean(axis=0), kept, atol=0.04 * kept.max())
    np.testing.assert_allclose(np.mean(dropped == 0, axis=0)[kept > 0], 0.3, atol=0.03)


@pytest.mark.parametrize("name", ["cagi", "vsfa"])
def test_keys_have_no_effect_without_dropout(name: str) -> None:
    inputs = batch(videos([5, 2]), 5)
    with jax.enable_x64(True):
        out = run(HEADS[name][0], params_of(name), *inputs)
        again = run(HEADS[name][0], params_of(name), *inputs, jax.random.split(jax.random.key(0)))
    jax.tree.map(np.testing.assert_array_equal, out, again)


def test_intermediate_values_are_available() -> None:
    streams, mask = batch(videos([5, 2]), 5)
    params = jax.tree.map(np.float32, params_of("cagi"))
    _, state = run(small(), params, streams, mask, mutable="intermediates")
    intermediates = state["intermediates"]
    np.testing.assert_allclose(
        intermediates["cagi"]["attention"]["attention"][0].sum(-1), 1, rtol=1e-5
    )
    for block in ("quality_saliency", "content_variation"):
        gate = intermediates["catm"][block]["gate"][0]
        assert gate.shape == (2, 1, 4)
        assert np.all((gate > 0) & (gate < 1))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_low_precision_is_close_and_scores_are_float32(dtype: str) -> None:
    clips = videos([20, 5])
    streams, mask = batch(clips, 20)
    halves = tuple(stream.astype(np.float16) for stream in streams)
    params = jax.tree.map(np.float32, params_of("cagi"))
    out = run(small(tau=12, dtype=dtype), params, halves, mask)
    assert out.score.dtype == out.frame_scores.dtype == jnp.float32
    expected = [reference.a2inet(clip, params_of("cagi"))[0] for clip in clips]
    atol = {"float32": 2e-3, "bfloat16": 5e-2}[dtype]  # float16 inputs alone cost 1e-3
    np.testing.assert_allclose(out.score, expected, atol=atol)


@pytest.mark.parametrize("name", ["cagi", "concat_mlp", "adain alone"])
def test_constant_and_missing_videos_have_finite_scores_and_gradients(name: str) -> None:
    """A constant video, one frame, and a row of only padding, in float32."""
    model = small(**VARIANTS[name])
    streams = tuple(jnp.full((3, 5, width), 0.1) for width in WIDTHS)
    mask = jnp.arange(5)[None, :] < jnp.asarray([[5], [1], [0]])
    params = parameters(model, streams, mask, dtype=np.float32)

    def total(params: Any, streams: Any) -> jax.Array:
        return apply(model, params, streams, mask).score.sum()

    assert run(model, params, streams, mask).score[2] == 0
    found = quick_jit(jax.grad(total, argnums=(0, 1)))(params, streams)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


def test_number_of_parameters_at_the_papers_sizes() -> None:
    streams = tuple(jax.ShapeDtypeStruct((1, 2, n), jnp.float32) for n in (1920, 7680))
    mask = jax.ShapeDtypeStruct((1, 2), bool)

    def count(model: nn.Module) -> int:
        params = jax.eval_shape(model.init, jax.random.key(0), streams, mask)["params"]
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))
        return sum(leaf.size for leaf in jax.tree.leaves(params))

    assert count(A2INet()) == 36_334_369
    assert count(VSFA()) == 9600 * 128 + 128 + 3 * 32 * (128 + 32) + 4 * 32 + 33


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fusion": "sum"}, "fusion is 'sum'; take 'cagi', 'concat' or 'concat_mlp'"),
        ({"normalization": "adain"}, "normalization is 'adain'; take 'cgin', 'fgin_s_to_q', "),
        ({"norm_axis": "space"}, "norm_axis is 'space'; take 'time' or 'channel'"),
        ({"norm_axis": "space", "normalization": "adain_s_to_q"}, "norm_axis is 'space'"),
        ({"fusion": "concat_mlp", "dropout": 1.0}, "dropout is 1.0; take a rate from 0 to below 1"),
        ({"pooling": "max"}, "pooling is 'max'; take 'subjective' or 'mean'"),
        ({"tau": 0}, "tau is 0; a window"),
    ],
)
def test_unknown_values_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        jax.eval_shape(small(**changes).init, jax.random.key(0), *batch(videos([2]), 2))


def test_wrong_streams_are_refused() -> None:
    (quality, _), mask = batch(videos([2]), 2)
    with pytest.raises(ConfigError, match="two streams, quality and semantic, not 1"):
        small().init(jax.random.key(0), (quality,), mask)
    with pytest.raises(ConfigError, match="at least tail = 6 features, not \\[5\\]"):
        VSFA(tail=6).init(jax.random.key(0), (quality,), mask)
