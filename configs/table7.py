"""Table 7: what each part of the model adds to VSFA.

a2inet train --config=configs/table7.py:FE+GC,S+M

FE is feature extraction, its streams straight into the temporal network; GC adds CAGI, TM adds CATM. S+S has
a spatial semantic stream, S+M that of motion. VSFA is the baseline: the last stage of the ResNet-50, alone.
"""

from itertools import product

from ml_collections import ConfigDict

from configs import konvid_1k

SEMANTIC = {"S+S": "resnet50_imagenet", "S+M": "slowfast_r50_fast"}
PARTS = ("FE", "FE+GC", "FE+GC+TM")
ROWS = ("VSFA", *(f"{parts},{streams}" for streams, parts in product(SEMANTIC, PARTS)))


def get_config(row: str = "") -> ConfigDict:
    if row not in ROWS:
        raise ValueError(
            f"table 7 has no row {row!r}: take configs/table7.py:ROW of {' '.join(ROWS)}"
        )
    config = konvid_1k.get_config()
    config.name = f"table7_{row.replace(',', '_')}"
    config.baselines = ()
    if row == "VSFA":
        config.model.name = "vsfa"
        config.model.streams = ("semantic",)
        config.model.tail = 4096
        return config
    parts, streams = row.split(",")
    config.features.semantic = SEMANTIC[streams]
    if parts == "FE":
        config.model.name = "vsfa"
    config.model.catm = parts == "FE+GC+TM"
    return config
