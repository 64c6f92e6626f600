"""Tiny networks, and extractors that use them."""

import dataclasses
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from a2inet_jax.backbones.registry import Backbone
from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.network import Network
from a2inet_jax.features.record import VideoFeatures
from a2inet_jax.video.reader import Reader
from a2inet_jax.video.sampling import FR, Sampling
from tests.head_inputs import quick_jit

# Input shapes for which a network was traced; jit traces before each compilation.
traced: list[tuple[int, ...]] = []


class TwoMaps(nn.Module):
    """Two strided convolutions."""

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x_BxHxWx3: jax.Array) -> list[jax.Array]:
        traced.append(x_BxHxWx3.shape)
        maps = []
        x = x_BxHxWx3
        for _ in range(2):
            x = nn.relu(nn.Conv(self.features, (3, 3), strides=4, dtype=self.dtype)(x))
            maps.append(x)
        return maps


def network(name: str, features: int, min_side: int = 32) -> Network:
    backbone = Backbone(
        name=name,
        network=TwoMaps(features),
        width=4 * features,
        normalization="half",
        layouts=(),
        min_side_px=min_side,
    )
    init = quick_jit(backbone.network.init)
    params = init(jax.random.key(features), jnp.zeros((1, 32, 32, 3)))["params"]
    return Network(backbone, params, f"sha256 of {name}")


QUALITY, SEMANTIC = network("quality", 4), network("semantic", 6)


def pair(
    quality: Network = QUALITY, semantic: Network = SEMANTIC, sampling: Sampling = FR
) -> dict[str, Network]:
    """Return the networks of two streams: the one sees the patches, the other the resized frames."""
    whole = dataclasses.replace(sampling, patches=0, patch_size=FR.patch_size, seed=0)
    patches = dataclasses.replace(sampling, short_side=None)
    return {
        "quality": dataclasses.replace(quality, sampling=patches),
        "semantic": dataclasses.replace(semantic, sampling=whole),
    }


def extractor(sampling: Sampling = FR, chunk_frames: int = 8) -> Extractor:
    return Extractor(pair(sampling=sampling), chunk_frames=chunk_frames)


def extract_one(extractor: Extractor, path: Path, video_id: str) -> dict[str, VideoFeatures]:
    with Reader(timeout_s=30) as reader:
        return extractor.extract(VideoFile(video_id, path), reader)


class OverTime(nn.Module):
    """A network of clips, whose output for a frame depends on the other frames of the clip."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x_NxTxHxWx3: jax.Array) -> list[jax.Array]:
        traced.append(x_NxTxHxWx3.shape)
        num_clips, num_frames, height, width, _ = x_NxTxHxWx3.shape
        x = x_NxTxHxWx3 - jnp.mean(x_NxTxHxWx3, axis=1, keepdims=True)
        return [x.reshape(num_clips, num_frames // 2, 2, height, width, 3).mean(axis=2)]


MOTION = Network(
    Backbone("motion", OverTime(), 6, "half", layouts=(), clip_frames=8, frames_per_row=2),
    {},
    "sha256 of motion",
)
