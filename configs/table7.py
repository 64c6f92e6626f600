"""Table 7: the gain of each part of the model over VSFA.

a2inet train --config=table7:FE+GC,S+M

FE is feature extraction, its streams straight into the temporal network; GC adds CAGI, TM adds CATM. S+S has
a spatial semantic stream, S+M that of motion. VSFA is the baseline: the last stage of the ResNet-50, alone.
"""

from itertools import product

from ml_collections import ConfigDict

from a2inet_jax.configs import rows

TITLE = "Parts of the model"
DATASETS = ("live_qualcomm", "live_vqc", "konvid_1k")
SEMANTIC = {"S+S": "SS", "S+M": "MS"}
PARTS = ("FE", "FE+GC", "FE+GC+TM")
ROWS = {"VSFA": "VSFA baseline"} | {f"{p},{s}": f"({s}) {p}" for s, p in product(SEMANTIC, PARTS)}
LAST_STAGE = {"resnet50_imagenet": 4096, "efficientnet_lite0": 640}  # features


def build(row: str, dataset: str, networks: str = "") -> ConfigDict:
    config, network = rows.start(7, row, dataset, networks)
    if row == "VSFA":
        rows.use(config, network["SQ"], network["SS"])
        config.model.name = "vsfa"
        config.model.streams = ("semantic",)
        config.model.tail = LAST_STAGE[network["SS"]]
        return config
    parts, streams = row.split(",")
    rows.use(config, network["SQ"], network[SEMANTIC[streams]])
    if parts == "FE":
        config.model.name = "vsfa"
    if parts == "FE+GC":
        config.model.catm = False
    return config


def get_config(argument: str = "") -> ConfigDict:
    return build(*rows.split(argument, 7, ROWS))
