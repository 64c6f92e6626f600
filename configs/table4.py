"""Table 4: features, each straight into the temporal network and the temporal pooling.

a2inet train --config=table4:SQ+MS

SQ is spatial quality, SS spatial semantic, MS motion semantic; + puts two side by side. Another data set:
--config=table4:SQ+MS@live_vqc
"""

from ml_collections import ConfigDict

from a2inet_jax.configs import rows

TITLE = "Features"
DATASETS = ("live_qualcomm", "live_vqc", "konvid_1k")
# Row → the networks whose features are stored, and the streams that enter the model. A row of one stream
# shares its stored features with a row of two.
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
    config, parts = rows.start(4, row, dataset, networks)
    quality, semantic, config.model.streams = _STREAMS[row]
    rows.use(config, parts[quality], parts[semantic])
    config.model.name = "vsfa"
    return config


def get_config(argument: str = "") -> ConfigDict:
    return build(*rows.split(argument, 4, ROWS))
