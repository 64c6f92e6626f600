"""Table 5: three ways to fuse the streams, with eight pairs of backbones.

a2inet train --config=table5:CAGI,CNN+Fast

A row is Concat, Concat+MLP or CAGI, a comma, and the backbones of the quality and of the semantic stream.
The fused streams go straight into the temporal network, without CATM. Concat is the features themselves
side by side, as the paper's numbers imply: those of CNN+CNN are those of SQ+SS in its Table 4.
"""

from itertools import product

from ml_collections import ConfigDict

from a2inet_jax.configs import rows

TITLE = "Ways to bring the streams together, and backbones"
DATASETS = ("live_vqc", "konvid_1k")
QUALITY = {"CNN": "SQ", "ViT": "SQ-ViT"}
SEMANTIC = {"CNN": "SS", "ViT": "SS-ViT", "Fast": "MS", "Swin": "MS-Swin"}
FUSIONS = ("Concat", "Concat+MLP", "CAGI")
ROWS = {f"{f},{q}+{s}": f"{f} {q}+{s}" for f, q, s in product(FUSIONS, QUALITY, SEMANTIC)}


def build(row: str, dataset: str, networks: str = "") -> ConfigDict:
    fusion, pair = row.split(",")
    quality, semantic = pair.split("+")
    config, parts = rows.start(5, row, dataset, networks)
    rows.use(config, parts[QUALITY[quality]], parts[SEMANTIC[semantic]])
    if fusion == "Concat":
        config.model.name = "vsfa"
    else:
        config.model.catm = False
        config.model.fusion = {"Concat+MLP": "concat_mlp", "CAGI": "cagi"}[fusion]
    return config


def get_config(argument: str = "") -> ConfigDict:
    return build(*rows.split(argument, 5, ROWS))
