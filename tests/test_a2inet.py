"""The whole heads, A2INet in its variants and VSFA, against the equations and against padding."""

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

from a2inet_jax.model.a2inet import A2INet
from a2inet_jax.model.vsfa import VSFA
from tests import reference_head as reference
from tests.head_inputs import GARBAGE, WIDTHS, apply, batch, parameters, quick_jit, run, videos

FRAMES = 26  # longer than two windows of the temporal pooling


def small(**changes: Any) -> A2INet:
    return A2INet(width=4, reduction=2, neck=6, hidden=3, **changes)


HEADS: dict[str, tuple[nn.Module, Callable[..., tuple[float, np.ndarray]]]] = {
    "cagi, time": (small(dtype=jnp.float64), reference.a2inet),
    "cagi, channel": (
        small(norm_axis="channel", dtype=jnp.float64),
        functools.partial(reference.a2inet, norm_axis="channel"),
    ),
    "concat": (
        small(fusion="concat", dtype=jnp.float64),
        functools.partial(reference.a2inet, fusion="concat"),
    ),
    "vsfa": (VSFA(neck=6, hidden=3, dtype=jnp.float64), reference.vsfa),
}


@functools.cache
def params_of(name: str) -> Any:
    with jax.enable_x64(True):
        return parameters(HEADS[name][0], *batch(videos([2]), 2))


@functools.partial(quick_jit, static_argnums=0)
@functools.partial(jax.grad, argnums=(1, 2))
def gradients(
    name: str, params: Any, streams: Any, mask: Any, weight_B: Any, weight_BxT: Any
) -> Any:
    """Of a sum in which each video score and frame score has a weight of its own."""
    out = apply(HEADS[name][0], params, streams, mask)
    return jnp.sum(out.score * weight_B) + jnp.sum(out.frame_scores * weight_BxT)


@pytest.mark.parametrize("name", HEADS)
@settings(deadline=None, max_examples=25)
@given(
    lengths=st.lists(st.integers(1, FRAMES), min_size=3, max_size=3),
    garbage=st.sampled_from(GARBAGE),
    seed=st.integers(0, 2**16),
)
def test_scores_are_those_of_the_equations_whatever_the_padding(
    name: str, lengths: list[int], garbage: float, seed: int
) -> None:
    clips = videos(lengths, seed)
    streams, mask = batch(clips, FRAMES, garbage)
    with jax.enable_x64(True):
        out = jax.device_get(run(HEADS[name][0], params_of(name), streams, mask))
    for b, clip in enumerate(clips):
        score, q = HEADS[name][1](clip, params_of(name))
        np.testing.assert_allclose(out.score[b], score, rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(out.frame_scores[b, : lengths[b]], q, rtol=1e-6, atol=1e-12)
        np.testing.assert_array_equal(out.frame_scores[b, lengths[b] :], 0)


@pytest.mark.parametrize("name", HEADS)
@settings(deadline=None, max_examples=15)
@given(
    # Few lengths, as each one alone is compiled.
    lengths=st.lists(st.sampled_from([1, 5, 12, FRAMES]), min_size=3, max_size=3),
    garbage=st.sampled_from(GARBAGE),
    seed=st.integers(0, 2**16),
)
def test_gradients_are_those_of_each_video_alone(
    name: str, lengths: list[int], garbage: float, seed: int
) -> None:
    params, clips = params_of(name), videos(lengths, seed)
    rng = np.random.default_rng(seed)
    weight_B, weight_BxT = rng.normal(size=3), rng.normal(size=(3, FRAMES))
    close = functools.partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-11)
    with jax.enable_x64(True):
        of_params, of_streams = jax.device_get(
            gradients(name, params, *batch(clips, FRAMES, garbage), weight_B, weight_BxT)
        )
        total = jax.tree.map(np.zeros_like, params)
        for b, (clip, n) in enumerate(zip(clips, lengths)):
            weights = weight_B[b : b + 1], weight_BxT[b : b + 1, :n]
            alone, alone_streams = jax.device_get(
                gradients(name, params, *batch([clip], n), *weights)
            )
            total = jax.tree.map(np.add, total, alone)
            for x, y in zip(of_streams, alone_streams):
                close(x[b, :n], y[0])
                np.testing.assert_array_equal(x[b, n:], 0)
        jax.tree.map(close, of_params, total)


@pytest.mark.parametrize("name", HEADS)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    clips = videos([13, 4])
    streams, mask = batch(clips, 13)
    rng = np.random.default_rng(1)
    params = params_of(name)
    direction = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), params)
    weight_B, weight_BxT = rng.normal(size=2), rng.normal(size=(2, 13))

    def value(step: float) -> float:
        moved = jax.tree.map(lambda leaf, d: leaf + step * d, params, direction)
        results = [HEADS[name][1](clip, moved) for clip in clips]
        return sum(
            weight_B[b] * score + weight_BxT[b, : len(q)] @ q
            for b, (score, q) in enumerate(results)
        )

    with jax.enable_x64(True):
        slope, _ = jax.device_get(gradients(name, params, streams, mask, weight_B, weight_BxT))
    along = sum(jax.tree.leaves(jax.tree.map(lambda g, d: np.sum(g * d), slope, direction)))
    difference = (value(1e-6) - value(-1e-6)) / 2e-6
    np.testing.assert_allclose(along, difference, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_low_precision_stays_near_and_scores_in_float32(dtype: str) -> None:
    clips = videos([20, 5])
    streams, mask = batch(clips, 20)
    halves = tuple(stream.astype(np.float16) for stream in streams)
    params = jax.tree.map(np.float32, params_of("cagi, time"))
    out = run(small(dtype=dtype), params, halves, mask)
    assert out.score.dtype == out.frame_scores.dtype == jnp.float32
    expected = [reference.a2inet(clip, params_of("cagi, time"))[0] for clip in clips]
    atol = {"float32": 2e-3, "bfloat16": 5e-2}[dtype]  # float16 inputs alone cost 1e-3
    np.testing.assert_allclose(out.score, expected, atol=atol)


@pytest.mark.parametrize("fusion", ["cagi", "concat"])
def test_still_and_missing_videos_have_finite_scores_and_gradients(fusion: str) -> None:
    """A constant video, one frame, and a row of nothing but padding, in float32."""
    model = small(fusion=fusion)
    streams = tuple(jnp.full((3, 5, width), 0.1) for width in WIDTHS)
    mask = jnp.arange(5)[None, :] < jnp.asarray([[5], [1], [0]])
    params = parameters(model, streams, mask, dtype=np.float32)

    def total(params: Any, streams: Any) -> jax.Array:
        return apply(model, params, streams, mask).score.sum()

    assert run(model, params, streams, mask).score[2] == 0
    found = quick_jit(jax.grad(total, argnums=(0, 1)))(params, streams)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


def test_the_papers_sizes() -> None:
    streams = tuple(jax.ShapeDtypeStruct((1, 2, n), jnp.float32) for n in (1920, 7680))
    mask = jax.ShapeDtypeStruct((1, 2), bool)

    def count(model: nn.Module) -> int:
        params = jax.eval_shape(model.init, jax.random.key(0), streams, mask)["params"]
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))
        return sum(leaf.size for leaf in jax.tree.leaves(params))

    assert count(A2INet()) == 36_334_369
    assert count(VSFA()) == 9600 * 128 + 128 + 3 * 32 * (128 + 32) + 4 * 32 + 33


def test_another_fusion_is_refused() -> None:
    model = A2INet(fusion="sum")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'cagi' or 'concat'"):
        model.init(jax.random.key(0), *batch(videos([2]), 2))
