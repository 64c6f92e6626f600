"""SlowFast, compared to PyTorchVideo's; a wrong padding, stride or ε would exceed the tolerance by far."""

import functools
from fnmatch import fnmatchcase

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from a2inet_jax.backbones import convert, registry
from a2inet_jax.backbones.convert import Folded
from a2inet_jax.backbones.frame_features import pool_stages
from a2inet_jax.backbones.slowfast import LAYOUTS, STAGES, SlowFastR50Fast
from a2inet_jax.errors import ConversionError
from tests.make_motion_expectations import SLOWFAST_CLIP, moving_noise
from tests.parity import QUICKLY_COMPILED, assert_maps_close
from tests.published import published

BACKBONE = registry.BACKBONES["slowfast_r50_fast"]
SHAPES = registry.parameter_shapes(BACKBONE)
PYSLOWFAST, PYTORCHVIDEO, CAFFE2 = range(3)
# Names of the same tensors in published files of each layout.
KNOWN = {
    PYSLOWFAST: (
        "s1.pathway1_stem.conv.weight",
        "s1.pathway1_stem.bn.running_mean",
        "s3.pathway1_res1.branch2.a_bn.weight",
        "s2.pathway1_res0.branch1.weight",
        "s2.pathway1_res0.branch1_bn.bias",
        "s4.pathway1_res5.branch2.b.weight",
        "s5.pathway1_res2.branch2.c_bn.running_var",
    ),
    PYTORCHVIDEO: (
        "blocks.0.multipathway_blocks.1.conv.weight",
        "blocks.0.multipathway_blocks.1.norm.running_mean",
        "blocks.2.multipathway_blocks.1.res_blocks.1.branch2.norm_a.weight",
        "blocks.1.multipathway_blocks.1.res_blocks.0.branch1_conv.weight",
        "blocks.1.multipathway_blocks.1.res_blocks.0.branch1_norm.bias",
        "blocks.3.multipathway_blocks.1.res_blocks.5.branch2.conv_b.weight",
        "blocks.4.multipathway_blocks.1.res_blocks.2.branch2.norm_c.running_var",
    ),
    CAFFE2: (
        "t_conv1_w",
        "t_res_conv1_bn_rm",
        "t_res3_1_branch2a_bn_s",
        "t_res2_0_branch1_w",
        "t_res2_0_branch1_bn_b",
        "t_res4_5_branch2b_w",
        "t_res5_2_branch2c_bn_riv",
    ),
}
# Tensors of published files that do not belong to the fast pathway.
IGNORED = {
    PYSLOWFAST: (
        "s1.pathway0_stem.bn.weight",
        "s5.pathway0_res2.branch2.c_bn.num_batches_tracked",
        "s3_fuse.conv_f2s.weight",
        "s3_fuse.bn.running_var",
        "head.projection.weight",
    ),
    PYTORCHVIDEO: (
        "blocks.0.multipathway_blocks.0.conv.weight",
        "blocks.4.multipathway_blocks.0.res_blocks.2.branch2.norm_c.bias",
        "blocks.2.multipathway_fusion.conv_fast_to_slow.weight",
        "blocks.2.multipathway_fusion.norm.num_batches_tracked",
        "blocks.6.proj.bias",
    ),
    CAFFE2: (
        "conv1_w",
        "res_conv1_bn_riv",
        "res2_0_branch2a_bn_s",
        "t_pool1_subsample_bn_rm",
        "t_res4_5_branch2c_bn_subsample_w",
        "pred_w",
        "t_res2_0_branch2a_w_momentum",
        "lr",
        "model_iter",
    ),
}


@functools.cache
def reference_tensors() -> dict[str, np.ndarray]:
    return published(BACKBONE, PYTORCHVIDEO)


@functools.cache
def checkpoint(layout: int) -> dict[str, np.ndarray]:
    """Return tensors in one layout, with the same values in each."""
    tensors = reference_tensors()
    renamed = {}
    blocks = [f"res{i}_{j}" for i, (count, _) in enumerate(STAGES, 2) for j in range(count)]
    paths: list[tuple[str, ...]] = [("stem",)]
    for block in blocks:
        layers = ["conv_a", "conv_b", "conv_c"] + ["shortcut"] * block.endswith("_0")
        paths += [(block, layer) for layer in layers]
    for path in paths:
        names, new_names = LAYOUTS[PYTORCHVIDEO].names(path), LAYOUTS[layout].names(path)
        assert isinstance(names, Folded)
        assert isinstance(new_names, Folded)
        for role, name in vars(names).items():
            renamed[getattr(new_names, role)] = tensors[name]
    return renamed


@functools.cache
def params() -> convert.Params:
    return convert.convert(checkpoint(PYTORCHVIDEO), SHAPES, LAYOUTS)


def features(dtype: jnp.dtype = jnp.float32) -> np.ndarray:
    x = (moving_noise(*SLOWFAST_CLIP)[None] / np.float32(255) - np.float32(0.45)) / np.float32(
        0.225
    )
    with jax.default_matmul_precision("highest"):
        run = jax.jit(SlowFastR50Fast(dtype).apply, compiler_options=QUICKLY_COMPILED)
        (found,) = run({"params": params()}, x)
    assert found.dtype == dtype
    assert found.shape == (1, 8, 3, 3, 256)
    return np.asarray(pool_stages([found[0]]))


def test_features_equal_those_of_pytorchvideo() -> None:
    assert_maps_close(features(), "motion_features.npz", "slowfast", (256,), 1e-5)


def test_bfloat16_is_close() -> None:
    assert_maps_close(features(jnp.bfloat16), "motion_features.npz", "slowfast", (256,), 2e-2)


@pytest.mark.parametrize("layout", KNOWN)
def test_every_layout_gives_the_same_parameters(layout: int) -> None:
    tensors = checkpoint(layout)
    assert len(tensors) == 5 * (1 + 16 * 3 + 4)
    for name, pytorchvideo_name in zip(KNOWN[layout], KNOWN[PYTORCHVIDEO]):
        np.testing.assert_array_equal(tensors[name], reference_tensors()[pytorchvideo_name])
    whole = tensors | {name: np.zeros(3) for name in IGNORED[layout]}
    found = convert.convert(whole, SHAPES, LAYOUTS)
    jax.tree.map(np.testing.assert_array_equal, found, params())


@pytest.mark.parametrize("layout", KNOWN)
def test_nothing_of_the_fast_pathway_is_ignored(layout: int) -> None:
    for name in checkpoint(layout):
        assert not any(fnmatchcase(name, pattern) for pattern in LAYOUTS[layout].ignored), name


def test_a_deeper_network_is_refused() -> None:
    """Its fast pathway has all of our tensors, and more."""
    more = {"t_res4_6_branch2a_w": np.zeros(3)}
    with pytest.raises(ConversionError, match="unexpected: t_res4_6_branch2a_w"):
        convert.convert(checkpoint(CAFFE2) | more, SHAPES, LAYOUTS)
