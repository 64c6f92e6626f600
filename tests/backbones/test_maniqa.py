import jax.numpy as jnp
import pytest

from tests import make_transformer_expectations as reference

NAME = "maniqa"


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-6), ("bfloat16", 2e-2)])
def test_features_equal_those_of_its_repository(dtype: str, tolerance: float) -> None:
    network = reference.NARROW[NAME].clone(dtype=jnp.dtype(dtype))
    params = reference.params_from(NAME, reference.checkpoint(NAME))
    found = reference.pooled(network, params, reference.inputs(NAME)[NAME])
    assert reference.error(found, reference.expected_features(NAME)) <= tolerance
