"""Checkpoints with the layout that their authors publish, and random values seeded by the tensors' names."""

import functools
from collections.abc import Callable

import numpy as np

from a2inet_jax.backbones import convert, registry
from tests.make_torch_expectations import random_tensor


def published(
    backbone: registry.Backbone,
    layout: int = 0,
    values: Callable[[str, tuple[int, ...]], np.ndarray] = random_tensor,
) -> dict[str, np.ndarray]:
    """Return tensors of a checkpoint in one of the backbone's layouts, without its head."""
    chosen = backbone.layouts[layout]
    shapes = convert.tensor_shapes(registry.parameter_shapes(backbone), chosen)
    tensors = {
        name: values(name.removeprefix(chosen.prefix), shape) for name, shape in shapes.items()
    }
    for name in shapes:
        if name.endswith(("_riv", "/var")):  # variances, in Caffe2 and in Flax
            tensors[name] = np.abs(tensors[name])
        if name.endswith("running_var"):
            tensors[name.replace("running_var", "num_batches_tracked")] = np.array(5)
    return tensors


@functools.lru_cache(maxsize=2)
def random_params(backbone: registry.Backbone) -> convert.Params:
    """Return parameters converted from these tensors."""
    shapes = registry.parameter_shapes(backbone)
    return convert.convert(published(backbone), shapes, backbone.layouts)
