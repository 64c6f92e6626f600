"""Weights of a tiny network, served on the loopback interface."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import flax.linen as nn
import jax
import numpy as np
import pytest
import safetensors.numpy

from a2inet_jax import fetch
from a2inet_jax.backbones import weights
from a2inet_jax.backbones.convert import PublishedLayout, torch_plain
from a2inet_jax.backbones.pretrained import PRETRAINED, PretrainedConfig
from a2inet_jax.backbones.registry import BACKBONES, Backbone
from a2inet_jax.files import sha256
from tests.loopback import Server, serving


class Tiny(nn.Module):
    """One convolution."""

    @nn.compact
    def __call__(self, x: jax.Array) -> list[jax.Array]:
        return [nn.Conv(4, (1, 1), name="conv")(x)]


LAYOUTS = (PublishedLayout(names=lambda path: torch_plain(path[0])),)


TINY = Backbone("tiny", Tiny(), 8, "none", LAYOUTS)


def published(seed: int = 0, outputs: int = 4) -> bytes:
    """Return a checkpoint of the tiny network in its published layout."""
    rng = np.random.default_rng(seed)
    kernel = rng.normal(size=(outputs, 3, 1, 1)).astype(np.float32)
    return safetensors.numpy.save({"conv.weight": kernel, "conv.bias": kernel[:, 0, 0, 0].copy()})


def install(url: str) -> None:
    """Register the tiny network and its weights."""
    weights.BACKBONES["tiny"] = TINY
    weights.PRETRAINED["tiny"] = PretrainedConfig("tiny", f"{url}/tiny.pth", "nothing", "MIT")


@contextmanager
def tiny_served(home: Path) -> Iterator[Server]:
    """Serve the tiny network's checkpoint, with a cache folder of its own."""
    with pytest.MonkeyPatch.context() as patch, serving() as running:
        patch.setenv("A2INET_HOME", str(home))
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("no_proxy", "127.0.0.1")
        patch.setattr(fetch, "_PAUSES", (0, 0, 0))
        patch.setattr(weights, "PRETRAINED", dict(PRETRAINED))
        patch.setattr(weights, "BACKBONES", dict(BACKBONES))
        running.files["/tiny.pth"] = published()
        install(running.url)
        yield running


def change(**fields: object) -> None:
    """Change fields of the tiny network's weights in the registry."""
    weights.PRETRAINED["tiny"] = replace(weights.PRETRAINED["tiny"], **fields)  # type: ignore[arg-type]


def digest(content: bytes, tmp_path: Path) -> str:
    """Return the SHA-256 of a file with this content."""
    file = tmp_path / "content"
    file.write_bytes(content)
    return sha256(file)


def kept_files() -> set[str]:
    """Return the files in the folder of weights, except locks."""
    folder = weights.weights_path("tiny").parent
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(folder)) for path in files}
