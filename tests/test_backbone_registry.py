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
def test_an_entry_describes_the_output_of_its_network(name: str) -> None:
    """Width and clip length are those of the network, at an odd frame size."""
    backbone = registry.BACKBONES[name]
    shapes = registry.parameter_shapes(backbone)
    side = max(backbone.min_side, 33)
    frames = jax.ShapeDtypeStruct((backbone.clip, side, side + 8, 3), jnp.uint8)
    found = jax.eval_shape(
        lambda p, x: frame_features.extract_features(backbone, p, x), shapes, frames
    )
    assert (found.shape, found.dtype) == ((backbone.clip, backbone.width), jnp.float32)
    assert backbone.name == name
    assert backbone.normalization in registry.NORMALIZATIONS


@pytest.mark.parametrize(("name", "layout"), PAIRS)
def test_layouts_are_recognised(name: str, layout: int) -> None:
    """A checkpoint of each layout converts, and a missing tensor has its name in that layout."""
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
