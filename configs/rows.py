"""What the rows of the paper's tables are made from: a data set's config, networks and input modes.

A row is configs/tableN.py:ROW, on KoNViD-1k, or configs/tableN.py:ROW@DATASET with a data set of
`a2inet data list` or a CSV file of your own.
"""

import importlib
from collections.abc import Iterable

from ml_collections import ConfigDict

from a2inet_jax.datasets import registry
from configs import own

# The networks by their part in the tables: spatial quality, spatial semantic, motion semantic, and the
# transformers of Table 5.
PAPER = {
    "SQ": "resnet34_unique",
    "SS": "resnet50_imagenet",
    "MS": "slowfast_r50_fast",
    "SQ-ViT": "maniqa",
    "SS-ViT": "vit_b_16",
    "MS-Swin": "swin3d_t",
}
# Those that the package index carries in their places, where it carries one.
INDEX = PAPER | {"SQ": "resnet18_fdim", "SS": "efficientnet_lite0", "MS": "i3d_kinetics400"}
NETWORKS = {"paper": PAPER, "index": INDEX}


def split(argument: str, table: int, rows: Iterable[str]) -> tuple[str, str]:
    """Row and data set that the argument of a table's config names; ValueError lists the rows."""
    row, _, dataset = argument.partition("@")
    if row not in rows:
        raise ValueError(
            f"table {table} has no row {row!r}: take configs/table{table}.py:ROW of {' '.join(rows)}"
        )
    return row, dataset or "konvid_1k"


def chosen(dataset: str, networks: str = "") -> dict[str, str]:
    """The networks by their part: "paper" or "index"; "": as the data set has it.

    The sample data set is tried with those of the index, all others with the paper's.
    """
    return NETWORKS[networks or ("index" if dataset == "sample" else "paper")]


def start(name: str, dataset: str, networks: str = "") -> tuple[ConfigDict, dict[str, str]]:
    """What a row begins with: the data set's config under a name, and the networks by their part.

    Args:
      name: of the row's run.
      dataset: name of the data set.
      networks: as in `chosen`.
    """
    if (
        dataset in registry.NAMES and dataset != registry.TEST_ONLY
    ):  # nothing is trained on that one
        config = importlib.import_module(f"configs.{dataset}").get_config()
    else:
        config = own.get_config(dataset)
    config.name = name if dataset == "konvid_1k" else f"{name}_{registry.slug(dataset)}"
    config.baselines = ()
    return config, chosen(dataset, networks)


def use(config: ConfigDict, quality: str, semantic: str) -> None:
    """Set the networks of both streams."""
    config.features.quality, config.features.semantic = quality, semantic


def preprocessed(config: ConfigDict) -> None:
    """Set the input mode PR; what a data set's config has is FR."""
    fields = config.features
    if config.data.name == "sample":  # whose frames are smaller than the paper's patches
        fields.frames, fields.short_side, fields.patches, fields.patch_size = 8, 180, 4, 192
    else:
        fields.frames, fields.short_side, fields.patches, fields.patch_size = 128, 540, 4, 768
