"""Parameters and FLOPs, compared to a count by hand and to XLA's."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from a2inet_jax.errors import ConfigError
from a2inet_jax.model import cost
from a2inet_jax.model.a2inet import A2INet
from a2inet_jax.model.layers import Outputs
from a2inet_jax.model.vsfa import VSFA

WIDTHS = (1920, 7680)


def test_the_papers_model_equals_a_count_by_hand() -> None:
    found = cost.measure(A2INet(), WIDTHS, 240)
    width = 1024
    # Weights that multiply every frame.
    each_frame = {
        "quality_fc": 1920 * width,
        "semantic_fc": 7680 * width,
        "cagi/cgin": 2 * width * 2 * width,
        "cagi/attention": 3 * (2 * width) ** 2,
        "catm/fc": 2 * width * width,
        "catm/quality_saliency": 3 * width**2,
        "catm/content_variation": 3 * width**2,
        "temporal/neck": 2 * width * 128,
        "temporal/gru": (128 + 32) * 3 * 32,
        "temporal/score": 32,
    }
    expected = {name: 2 * 240 * weights for name, weights in each_frame.items()}
    expected["cagi/attention"] += 2 * 2 * 240**2 * 2 * width  # all pairs of frames, twice
    gate = 2 * 2 * width * (width // 4)  # once per video
    expected["catm/quality_saliency"] += gate
    expected["catm/content_variation"] += gate
    assert found.forward == expected
    assert list(found.forward) == list(found.parameters) == list(each_frame)
    assert sum(found.parameters.values()) == 36_334_369
    # The gradient has two products for each of the forward pass, except for the features, which need none.
    features = 2 * 240 * sum(WIDTHS) * width
    assert found.training_step == pytest.approx(3 * sum(expected.values()) - features, rel=1e-3)


@pytest.mark.parametrize(
    "model",
    [A2INet(width=256), A2INet(width=256, fusion="concat_mlp", catm=False), VSFA()],
)
def test_one_frame_agrees_with_xlas_count(model: nn.Module) -> None:
    """XLA counts the body of a loop once, hence one frame; it also counts elementwise operations."""
    streams = tuple(jax.ShapeDtypeStruct((1, 1, width), jnp.float32) for width in WIDTHS)
    mask = jax.ShapeDtypeStruct((1, 1), bool)
    params = jax.eval_shape(model.init, jax.random.key(0), streams, mask)
    analysis: Any = jax.jit(model.apply).lower(params, streams, mask).cost_analysis()
    ours = sum(cost.measure(model, WIDTHS, 1).forward.values())
    assert ours == pytest.approx(analysis["flops"], rel=0.03)


def test_all_iterations_of_loops_count() -> None:
    one, many = (cost.measure(VSFA(), WIDTHS, frames).forward for frames in (1, 100))
    assert many == {name: 100 * flops for name, flops in one.items()}


def test_operations_that_are_not_counted_are_refused() -> None:
    class Loop(nn.Module):
        @nn.compact
        def __call__(self, streams: Any, mask: jax.Array) -> Outputs:
            x = nn.Dense(3)(streams[0])
            x = jax.lax.while_loop(lambda x: x.sum() < 1, lambda x: 2 * x, x)
            return Outputs(x.sum(axis=(1, 2)), x[:, :, 0])

    with pytest.raises(ValueError, match="has a `while`"):
        cost.measure(Loop(), (2,), 3)
    with pytest.raises(ConfigError, match="frames is 0"):
        cost.measure(VSFA(), (2,), 0)
