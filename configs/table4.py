"""Table 4: which features, each straight into the temporal network and the temporal pooling.

a2inet train --config=configs/table4.py:SQ+MS

SQ is spatial quality, SS spatial semantic, MS motion semantic; + puts two side by side. Another data set:
--config=configs/table4.py:SQ+MS@live_vqc
"""

from ml_collections import ConfigDict

from configs import rows

TITLE = "Features"
DATASETS = ("live_qualcomm", "live_vqc", "konvid_1k")
# Row → the networks whose features are stored, and what of them is used. A row of one stream shares the
# stored features with a row of two.
_STREAMS = {
    "SQ": ("SQ", "SS", ("quality",)),
    "SS": ("SQ", "SS", ("semantic",)),
    "MS": ("SQ", "MS", ("semantic",)),
    "SQ+SS": ("SQ", "SS", ("quality", "semantic")),
    "SQ+MS": ("SQ", "MS", ("quality", "semantic")),
    "SS+MS": ("SS", "MS", ("quality", "semantic")),
}
ROWS = {row: row for row in _STREAMS}  # as the paper has them


def build(row: str, dataset: str, networks: str = "") -> ConfigDict:
    config, parts = rows.start(f"table4_{row}", dataset, networks)
    quality, semantic, config.model.streams = _STREAMS[row]
    rows.use(config, parts[quality], parts[semantic])
    config.model.name = "vsfa"
    return config


def get_config(argument: str = "") -> ConfigDict:
    return build(*rows.split(argument, 4, ROWS))
