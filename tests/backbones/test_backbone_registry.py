"""The registry of backbones: outputs and published layouts of its entries."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from a2inet_jax.backbones import convert, frame_features, registry
from a2inet_jax.errors import ConversionError

PAIRS = [
    (name, layout)
    for name, backbone in registry.BACKBONES.items()
    for layout in range(len(backbone.layouts))
]


@pytest.mark.parametrize("name", registry.BACKBONES)
def test_an_entry_states_the_shape_of_its_networks_features(name: str) -> None:
    """Width, clip and stride, for frames with odd sides."""
    backbone = registry.BACKBONES[name]
    shapes = registry.parameter_shapes(backbone)
    side = max(backbone.min_side_px, 33)
    frames = jax.ShapeDtypeStruct((backbone.clip_frames, side, side + 8, 3), jnp.uint8)
    found = jax.eval_shape(
        lambda p, x: frame_features.extract_features(backbone, p, x), shapes, frames
    )
    assert (found.shape, found.dtype) == ((backbone.clip_frames, backbone.width), jnp.float32)
    assert backbone.name == name
    assert backbone.normalization in registry.NORMALIZATIONS


@pytest.mark.parametrize(("name", "layout"), PAIRS)
def test_the_layout_of_a_checkpoint_is_recognised(name: str, layout: int) -> None:
    """Each layout's checkpoint converts, and an error gives a missing tensor's name in that layout."""
    backbone = registry.BACKBONES[name]
    shapes = registry.parameter_shapes(backbone)
    names = convert.tensor_shapes(shapes, backbone.layouts[layout])
    tensors = {key: np.broadcast_to(np.float32(1), shape) for key, shape in names.items()}
    converted = convert.convert(tensors, shapes, backbone.layouts)
    assert jax.tree.map(jnp.shape, converted) == jax.tree.map(jnp.shape, shapes)
    missing = next(iter(tensors))
    with pytest.raises(ConversionError, match=f"missing: {missing}$"):
        convert.convert(
            {key: value for key, value in tensors.items() if key != missing},
            shapes,
            backbone.layouts,
        )
