import functools
import re

import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from tests import make_transformer_expectations as reference

NAME = "swin3d_t"
NETWORK = reference.NARROW[NAME]
CLIPS = reference.inputs(NAME)


@functools.cache
def checkpoint() -> dict[str, np.ndarray]:
    return reference.checkpoint(NAME)


@pytest.mark.parametrize("key", CLIPS)
def test_features_equal_those_of_torchvision_in_any_batch(key: str) -> None:
    clip = CLIPS[key]
    expected = reference.expected_features(key)
    params = reference.params_from(NAME, checkpoint())
    found = reference.pooled(NETWORK, params, np.concatenate([-clip, clip]))
    assert reference.error(found[len(expected) :], expected) <= 1e-5


def test_bfloat16_is_close() -> None:
    key, clip = next(iter(CLIPS.items()))
    params = reference.params_from(NAME, checkpoint())
    found = reference.pooled(NETWORK.clone(dtype=jnp.bfloat16), params, clip)
    assert reference.error(found, reference.expected_features(key)) <= 2e-2


def official(name: str) -> str:
    """Return the name in the authors' repository for a name of torchvision's."""
    name = name.replace("mlp.0", "mlp.fc1").replace("mlp.3", "mlp.fc2")
    module = re.match(r"features\.(\d)\.", name)
    if module is None:
        return name.replace("head", "cls_head.fc_cls")
    stage, merging = divmod(int(module[1]), 2)
    kind = "downsample" if merging else "blocks"
    return name.replace(module[0], f"layers.{stage}.{kind}.")


@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_checkpoints_of_the_authors_repository_convert(prefix: str) -> None:
    tensors = checkpoint()
    renamed = {official(name): tensor for name, tensor in tensors.items()}
    heads = {name for name in renamed if name.startswith("cls_head")}
    assert len(heads) == 2
    whole = {name if name in heads else prefix + name: renamed[name] for name in renamed}
    if not prefix:  # a backbone on its own
        whole = {name: whole[name] for name in whole.keys() - heads}
    params, again = (flatten_dict(reference.params_from(NAME, each)) for each in (tensors, whole))
    assert params.keys() == again.keys()
    for path, array in params.items():
        np.testing.assert_array_equal(array, again[path])
