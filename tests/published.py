"""Checkpoints as their authors publish them, with random values that their names decide."""

import numpy as np

from a2inet_jax.backbones import convert, registry
from tests.make_torch_expectations import random_tensor


def published(backbone: registry.Backbone, layout: int = 0) -> dict[str, np.ndarray]:
    """Tensors of a checkpoint in one of the backbone's layouts, those of its head left out."""
    chosen = backbone.layouts[layout]
    shapes = convert.tensor_shapes(registry.parameter_shapes(backbone), chosen)
    tensors = {
        name: random_tensor(name.removeprefix(chosen.prefix), shape)
        for name, shape in shapes.items()
    }
    for name in shapes:
        if name.endswith(("_riv", "/var")):  # a variance in Caffe2's words and in Flax's
            tensors[name] = np.abs(tensors[name])
        if name.endswith("running_var"):
            tensors[name.replace("running_var", "num_batches_tracked")] = np.array(5)
    return tensors


def random_params(backbone: registry.Backbone) -> convert.Params:
    """Parameters from these tensors."""
    shapes = registry.parameter_shapes(backbone)
    return convert.convert(published(backbone), shapes, backbone.layouts)
