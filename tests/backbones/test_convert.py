from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from flax.traverse_util import flatten_dict

from a2inet_jax.backbones import convert, registry, weights
from a2inet_jax.errors import ConversionError
from a2inet_jax.files import sha256
from tests.make_torch_expectations import random_tensor
from tests.published import published

LITE0 = registry.BACKBONES["efficientnet_lite0"]
NORM = ("weight", "bias", "running_mean", "running_var")


def converted(backbone: registry.Backbone, tensors: dict[str, np.ndarray]) -> convert.Params:
    return convert.convert(tensors, registry.parameter_shapes(backbone), backbone.layouts)


def test_folded_layer_equals_convolution_and_batch_norm() -> None:
    tensors = published(LITE0)
    layer = converted(LITE0, tensors)["blocks_1"]["expand"]
    x = random_tensor("x", (16,)).astype(np.float64)
    y = tensors["_blocks.1._expand_conv.weight"][:, :, 0, 0].astype(np.float64) @ x
    gamma, beta, mean, variance = (
        tensors[f"_blocks.1._bn0.{name}"].astype(np.float64) for name in NORM
    )
    expected = (y - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(x @ layer["kernel"][0, 0] + layer["bias"], expected, rtol=2e-5)


def test_one_error_lists_all_problems() -> None:
    tensors = published(LITE0)
    del tensors["_conv_stem.weight"], tensors["_blocks.4._bn2.bias"]
    tensors["_blocks.3._se_reduce.weight"] = np.zeros((10, 144, 1, 1), np.float32)
    tensors["_blocks.5._depthwise_conv.weight"] = np.zeros((240, 1, 5, 5), np.float32)
    with pytest.raises(ConversionError) as caught:
        converted(LITE0, tensors)
    message = str(caught.value)
    assert "missing: _conv_stem.weight" in message
    assert "missing: _blocks.4._bn2.bias" in message
    assert "unexpected: _blocks.3._se_reduce.weight" in message
    assert "_blocks.5._depthwise_conv.weight has shape (240, 1, 5, 5), expected (240, 1, 3, 3)" in (
        message
    )
    assert message.count("\n") == 4


@pytest.mark.parametrize(
    ("name", "value"), [("_bn0.running_var", -1.0), ("_blocks.3._bn1.weight", np.nan)]
)
def test_invalid_values_are_named(name: str, value: float) -> None:
    tensors = published(LITE0)
    tensors[name][3] = value
    with pytest.raises(ConversionError, match=f"not finite, or a negative variance: {name}$"):
        converted(LITE0, tensors)


def test_published_checkpoints_have_the_expected_number_of_tensors() -> None:
    """Heads are included."""
    heads = {
        "resnet18_fdim": (None, 122 - 2),
        "resnet34_unique": (
            {"backbone.fc.weight": (1000, 512), "backbone.fc.bias": (1000,)}
            | {"fc.weight": (2, 262144), "fc.bias": (2,)},
            220,
        ),
        "resnet50_imagenet": ({"fc.weight": (1000, 2048), "fc.bias": (1000,)}, 320),
    }
    for name, (head, count) in heads.items():
        backbone = registry.BACKBONES[name]
        tensors = published(backbone, values=lambda _, shape: np.ones(shape, np.float32))
        tensors |= {key: np.zeros(shape, np.float32) for key, shape in (head or {}).items()}
        assert len(tensors) == count, name
        converted(backbone, tensors)


def test_published_and_converted_files_load_the_same_parameters(tmp_path: Path) -> None:
    tensors = {f"module.{name}": array for name, array in published(LITE0).items()}
    file = tmp_path / "published.safetensors"
    safetensors.numpy.save_file(tensors, file)
    params, source_sha256 = weights.load_params(LITE0, str(file))
    assert source_sha256 == sha256(file)

    converted_file = tmp_path / "kept" / "converted.safetensors"
    convert.save(
        converted_file, converted(LITE0, published(LITE0)), {"source_sha256": source_sha256}
    )
    again, same_sha256 = weights.load_params(LITE0, str(converted_file))
    assert same_sha256 == source_sha256
    assert [path.name for path in converted_file.parent.iterdir()] == [converted_file.name]
    (tmp_path / "ordinary").touch()
    # Other users may read it too.
    assert converted_file.stat().st_mode == (tmp_path / "ordinary").stat().st_mode
    flat, flat_again = flatten_dict(params), flatten_dict(again)
    assert flat.keys() == flat_again.keys()
    for path, array in flat.items():
        np.testing.assert_array_equal(array, flat_again[path])

    with pytest.raises(ConversionError, match=r"converted\.safetensors doesn't fit resnet18_fdim"):
        weights.load_params(registry.BACKBONES["resnet18_fdim"], str(converted_file))
