import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from tests import make_transformer_expectations as reference

NAME = "vit_b_16"
NETWORK = reference.NARROW[NAME]


@functools.cache
def checkpoint() -> dict[str, np.ndarray]:
    return reference.checkpoint(NAME)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 2e-2)])
def test_features_equal_those_of_torchvision(dtype: str, tolerance: float) -> None:
    params = reference.params_from(NAME, checkpoint())
    x = reference.inputs(NAME)[NAME]
    found = reference.pooled(NETWORK.clone(dtype=jnp.dtype(dtype)), params, x)
    assert reference.error(found, reference.expected_features(NAME)) <= tolerance


def test_the_published_files_older_names_convert() -> None:
    tensors = checkpoint()
    older = {
        name.replace("mlp.0", "mlp.linear_1").replace("mlp.3", "mlp.linear_2"): tensor
        for name, tensor in tensors.items()
    }
    assert older.keys() != tensors.keys()
    params, again = (flatten_dict(reference.params_from(NAME, each)) for each in (tensors, older))
    assert params.keys() == again.keys()
    for path, array in params.items():
        np.testing.assert_array_equal(array, again[path])


def test_the_map_has_a_position_per_patch_and_other_frame_sizes_are_errors() -> None:
    shape = functools.partial(jax.eval_shape, NETWORK.init_with_output, jax.random.key(0))
    ((found,), _) = shape(np.zeros((2, 224, 224, 3), np.float32))
    assert found.shape == (2, 14, 14, NETWORK.width)
    with pytest.raises(ValueError, match="takes frames of 224×224, these are 240×224"):
        shape(np.zeros((1, 224, 240, 3), np.float32))
