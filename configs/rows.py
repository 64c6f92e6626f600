"""The rows of the paper's tables: what they start from, their networks and input modes.

A row is --config=tableN:ROW, on KoNViD-1k, or --config=tableN:ROW@DATASET with a data set of
`a2inet data list` or your own CSV file.
"""

import importlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ml_collections import ConfigDict

from a2inet_jax.config import Experiment
from a2inet_jax.configs import dataset as any_dataset
from a2inet_jax.configs import sample
from a2inet_jax.datasets import registry
from a2inet_jax.errors import ConfigError

TABLES = (2, 3, 4, 5, 6, 7)

# The networks by their role in the tables: spatial quality, spatial semantic, motion semantic, and the
# transformers of Table 5.
PAPER = {
    "SQ": "resnet34_unique",
    "SS": "resnet50_imagenet",
    "MS": "slowfast_r50_fast",
    "SQ-ViT": "maniqa",
    "SS-ViT": "vit_b_16",
    "MS-Swin": "swin3d_t",
}
# The package index's networks in their roles, where it carries one.
INDEX = PAPER | {"SQ": "resnet18_fdim", "SS": "efficientnet_lite0", "MS": "i3d_kinetics400"}
NETWORKS = {"paper": PAPER, "index": INDEX}

# Rows of several tables that are one experiment, which goes by the first of them.
_SAME = (
    ("table2:PR,S+S", "table3:PR,S+S"),
    ("table2:PR,S+M", "table3:PR,S+M"),
    ("table2:FR,S+S", "table3:FR,S+S", "table6:cgin,S+S", "table7:FE+GC+TM,S+S"),
    ("table2:FR,S+M", "table3:FR,S+M", "table6:cgin,S+M", "table7:FE+GC+TM,S+M"),
    ("table4:SQ+SS", "table5:Concat,CNN+CNN", "table7:FE,S+S"),
    ("table4:SQ+MS", "table5:Concat,CNN+Fast", "table7:FE,S+M"),
    ("table5:CAGI,CNN+CNN", "table7:FE+GC,S+S"),
    ("table5:CAGI,CNN+Fast", "table7:FE+GC,S+M"),
)


def same(row: str) -> tuple[str, ...]:
    """Return all rows that are the experiment of a row, such as "table6:cgin,S+S"; none for ""."""
    return next((rows for rows in _SAME if row in rows), (row,) if row else ())


def named(row: str) -> list[tuple[int, str]]:
    """Return the table and the paper's name of each row that is the experiment of this one.

    Raises:
        ConfigError: There is no such row.
    """
    found = []
    for each in same(row):
        table, _, key = each.partition(":")
        number = int(table.removeprefix("table")) if table[5:].isdecimal() else 0
        names = definition(number).ROWS
        if key not in names:
            raise ConfigError(f"paper_row is {row!r}: table {number} has no such row")
        found.append((number, names[key]))
    return found


def definition(table: int) -> Any:
    """Return the module configs/tableN.py; `ConfigError` if there is no such table."""
    if table not in TABLES:
        raise ConfigError(f"there is no table {table}: take one of {', '.join(map(str, TABLES))}")
    return importlib.import_module(f"a2inet_jax.configs.table{table}")


def split(argument: str, table: int, rows: Iterable[str]) -> tuple[str, str]:
    """Return the row and the data set that an argument of a table's config names.

    Raises:
        ConfigError: The table has no such row; lists its rows.
    """
    row, _, dataset = argument.partition("@")
    if row not in rows:
        raise ConfigError(
            f"table {table} has no row {row!r}: take --config=table{table}:ROW of {' '.join(rows)}"
        )
    return row, dataset or "konvid_1k"


def chosen(dataset: str, networks: str = "") -> dict[str, str]:
    """Return the networks by their role: "paper" or "index"; "": as the data set has it.

    The sample data set takes the index's, all others the paper's.
    """
    return NETWORKS[networks or ("index" if dataset == "sample" else "paper")]


def start(
    table: int, row: str, dataset: str, networks: str = ""
) -> tuple[ConfigDict, dict[str, str]]:
    """Return the config that a row begins with, the data set's, and the networks by their role.

    Args:
        table: 2 to 7.
        row: Its key in the table's ROWS.
        dataset: A name of `a2inet data list`, or a CSV file.
        networks: As for `chosen`.
    """
    config = sample.get_config() if dataset == "sample" else any_dataset.get_config(dataset)
    name = f"table{table}_{row.replace(',', '_')}"
    config.name = name if dataset == "konvid_1k" else f"{name}_{registry.slug(dataset)}"
    config.paper_row = same(f"table{table}:{row}")[0]
    config.baselines = ()
    return config, chosen(dataset, networks)


def use(config: ConfigDict, quality: str, semantic: str) -> None:
    """Set the networks of both streams."""
    config.features.quality, config.features.semantic = quality, semantic


def preprocessed(config: ConfigDict) -> None:
    """Set the input mode PR; a data set's config has FR."""
    fields = config.features
    if config.data.name == "sample":  # its frames are smaller than the paper's patches
        fields.num_frames, fields.short_side_px = 8, 180
        fields.num_patches, fields.patch_size_px = 4, 192
    else:
        fields.num_frames, fields.short_side_px = 128, 540
        fields.num_patches, fields.patch_size_px = 4, 768


def with_paper_networks(config: Experiment) -> Experiment:
    """Return the experiment with the paper's networks in place of the index's."""
    paper = {INDEX[role]: PAPER[role] for role in PAPER}
    quality, semantic = config.features.quality, config.features.semantic
    features = replace(
        config.features,
        quality=paper.get(quality, quality),
        semantic=paper.get(semantic, semantic),
    )
    return replace(config, features=features)
