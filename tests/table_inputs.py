"""A labelled set of small clips, and networks that cost nothing under the names of the real ones."""

import csv
import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from a2inet_jax import build
from a2inet_jax.backbones import weights
from a2inet_jax.backbones.registry import BACKBONES
from a2inet_jax.errors import WeightsError
from tests.clips import run_ffmpeg
from tests.extraction_inputs import MOTION, TwoMaps

# Features of a map, of two. Streams of equal widths train as one program: VSFA takes 640 features at least;
# vit_b_16 and swin3d_t are as wide as each other, as the real ones are.
MAPS = {"resnet18_fdim": 160, "efficientnet_lite0": 160, "maniqa": 4, "vit_b_16": 5, "swin3d_t": 5}
CLIPS = 12

# Fields of a config, for trainings of seconds.
SMALL = (
    "splits.num_splits=2",
    "model.width=8",
    "model.neck=8",
    "model.hidden=4",
    "train.epochs=2",
    "train.learning_rate=0.01",
    "train.epoch_rule=last",
    "splits.validation_fraction=0.0",
    "features.num_decoders=2",
    "features.chunk_frames=4",
)


def clips(folder: Path) -> Path:
    """Make clips of one colour each, whose label is how bright it is; gives their list."""
    folder.mkdir()
    rows = []
    for n in range(CLIPS):
        level = 20 * n + 10
        name, look = f"clip{n:02}.mkv", f"color=c=#{level:02x}{level:02x}40:s=48x40:r=5:d=1.2"
        options = ["-f", "lavfi", "-i", f"{look},noise=alls=20", "-frames:v", "6", "-c:v", "ffv1"]
        run_ffmpeg(*options, str(folder / name))
        rows.append({"path": name, "mos": 1 + n / 3, "reference_id": f"content{n // 2}"})
    listing = folder / "labels.csv"
    with listing.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return listing


def small_networks(patch: pytest.MonkeyPatch, missing: tuple[str, ...] = ()) -> list[str]:
    """Put small networks in place of the real ones; those `missing` have no weights.

    Returns:
      Names of weights as they are asked for, in a list that grows.
    """
    asked: list[str] = []
    for name in BACKBONES:
        if name == "i3d_kinetics400":
            patch.setitem(BACKBONES, name, dataclasses.replace(MOTION.backbone, name=name))
        else:
            maps = MAPS.get(name, 3)
            small = dataclasses.replace(
                BACKBONES[name],
                network=TwoMaps(maps),
                width=4 * maps,
                min_side_px=32,
                clip_frames=1,
                frames_per_row=1,
                tile_px=0,
                short_side_px=0,
            )
            patch.setitem(BACKBONES, name, small)

    def get(name: str) -> tuple[Path, ...]:
        asked.append(name)
        if name in missing:
            raise WeightsError(f"{name} has to be downloaded by hand")
        return ()

    def load(backbone: Any, name: str) -> tuple[Any, str]:
        if backbone.clip_frames > 1:
            return {}, f"sha256 of {backbone.name}"
        key = jax.random.key(sum(map(ord, backbone.name)))
        params = backbone.network.init(key, jnp.zeros((1, 32, 32, 3)))["params"]
        return params, f"sha256 of {backbone.name}"

    patch.setattr(weights, "get", get)
    patch.setattr(build, "load_params", load)
    return asked
