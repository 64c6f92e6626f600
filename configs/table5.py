"""Table 5: three ways to bring the streams together, with eight pairs of backbones.

a2inet train --config=configs/table5.py:CAGI,CNN+Fast

A row is Concat, Concat+MLP or CAGI, a comma, and the backbones of the quality and of the semantic stream.
What is fused goes straight into the temporal network, without CATM. Concat is the features themselves side
by side, as the paper's numbers say: those of CNN+CNN are those of SQ+SS in its Table 4.
"""

from itertools import product

from ml_collections import ConfigDict

from configs import konvid_1k

QUALITY = {"CNN": "resnet34_unique", "ViT": "maniqa"}
SEMANTIC = {
    "CNN": "resnet50_imagenet",
    "ViT": "vit_b_16",
    "Fast": "slowfast_r50_fast",
    "Swin": "swin3d_t",
}
FUSIONS = ("Concat", "Concat+MLP", "CAGI")
ROWS = tuple(f"{f},{q}+{s}" for f, q, s in product(FUSIONS, QUALITY, SEMANTIC))


def get_config(row: str = "") -> ConfigDict:
    if row not in ROWS:
        raise ValueError(
            f"table 5 has no row {row!r}: take configs/table5.py:ROW of {' '.join(ROWS)}"
        )
    fusion, pair = row.split(",")
    quality, semantic = pair.split("+")
    config = konvid_1k.get_config()
    config.name = f"table5_{fusion}_{pair}"
    config.features.quality, config.features.semantic = QUALITY[quality], SEMANTIC[semantic]
    config.model.catm = False
    if fusion == "Concat":
        config.model.name = "vsfa"
    else:
        config.model.fusion = {"Concat+MLP": "concat_mlp", "CAGI": "cagi"}[fusion]
    config.baselines = ()
    return config
