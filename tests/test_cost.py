"""Parameters and FLOPs, against a count by hand and against XLA's."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from a2inet_jax.model import cost
from a2inet_jax.model.a2inet import A2INet
from a2inet_jax.model.outputs import Outputs
from a2inet_jax.model.vsfa import VSFA

WIDTHS = (1920, 7680)


def test_the_papers_model_by_hand() -> None:
    found = cost.measure(A2INet(), WIDTHS, 240)
    width = 1024
    each_frame = {  # weights that multiply every frame
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
    expected["cagi/attention"] += 2 * 2 * 240**2 * 2 * width  # every frame with every frame, twice
    gate = 2 * 2 * width * (width // 4)  # once a video
    expected["catm/quality_saliency"] += gate
    expected["catm/content_variation"] += gate
    assert found.forward == expected
    assert list(found.forward) == list(found.parameters) == list(each_frame)
    assert sum(found.parameters.values()) == 36_334_369
    # Each product has two in the gradient, but those of the features, which need none.
    features = 2 * 240 * sum(WIDTHS) * width
    assert found.training == pytest.approx(3 * sum(expected.values()) - features, rel=1e-3)


@pytest.mark.parametrize(
    "model",
    [A2INet(width=256), A2INet(width=256, fusion="concat_mlp", catm=False), VSFA()],
)
def test_one_frame_is_what_xla_counts(model: nn.Module) -> None:
    """Of one frame, since XLA takes the body of a loop once; it counts elementwise operations too."""
    streams = tuple(jax.ShapeDtypeStruct((1, 1, width), jnp.float32) for width in WIDTHS)
    mask = jax.ShapeDtypeStruct((1, 1), bool)
    params = jax.eval_shape(model.init, jax.random.key(0), streams, mask)
    analysis: Any = jax.jit(model.apply).lower(params, streams, mask).cost_analysis()
    ours = sum(cost.measure(model, WIDTHS, 1).forward.values())
    assert ours == pytest.approx(analysis["flops"], rel=0.03)


def test_loops_count_in_full() -> None:
    one, many = (cost.measure(VSFA(), WIDTHS, frames).forward for frames in (1, 100))
    assert many == {name: 100 * flops for name, flops in one.items()}


def test_what_it_cannot_count_is_refused() -> None:
    class Loop(nn.Module):
        @nn.compact
        def __call__(self, streams: Any, mask: jax.Array) -> Outputs:
            x = nn.Dense(3)(streams[0])
            x = jax.lax.while_loop(lambda x: x.sum() < 1, lambda x: 2 * x, x)
            return Outputs(x.sum(axis=(1, 2)), x[:, :, 0])

    with pytest.raises(ValueError, match="has a `while`"):
        cost.measure(Loop(), (2,), 3)
    with pytest.raises(ValueError, match="frames is 0"):
        cost.measure(VSFA(), (2,), 0)
