import jax.numpy as jnp
import numpy as np

from a2inet_jax.backbones.pooling import pool_stages


def test_mean_and_unbiased_deviation_stage_by_stage() -> None:
    random = np.random.default_rng(0)
    maps = [random.normal(size=(2, 4, 6, 3)), random.normal(size=(2, 2, 3, 5))]
    expected = np.concatenate(
        [
            moment
            for values in maps
            for moment in (values.mean(axis=(1, 2)), values.std(axis=(1, 2), ddof=1))
        ],
        axis=-1,
    )
    found = pool_stages([jnp.asarray(values) for values in maps])
    assert found.shape == (2, 16)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_map_of_one_position_has_no_deviation() -> None:
    found = pool_stages([jnp.full((1, 1, 1, 2), 3.0)])
    np.testing.assert_array_equal(found, [[3, 3, 0, 0]])


def test_a_small_deviation_around_a_large_mean_does_not_cancel() -> None:
    values = 1e4 + np.array([0.0, 1.0, 0.0, 1.0], np.float32).reshape(1, 2, 2, 1)
    found = pool_stages([jnp.asarray(values)])
    np.testing.assert_allclose(found[0, 1], values.std(ddof=1), rtol=1e-5)


def test_bfloat16_maps_are_pooled_in_float32() -> None:
    values = np.arange(1, 4097, dtype=np.float32).reshape(1, 64, 64, 1) % 7
    found = pool_stages([jnp.asarray(values, jnp.bfloat16)])
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found[0], [values.mean(), values.std(ddof=1)], rtol=1e-5)
