"""Table 2: the full model, by input mode and semantic stream.

a2inet train --config=table2:PR,S+M@live_vqc

FR is full resolution, PR preprocessed: 128 frames, resized for the semantic stream, in patches for the
quality stream. S+S has a spatial semantic stream, S+M that of motion.
"""

from itertools import product

from ml_collections import ConfigDict

from a2inet_jax.configs import rows

TITLE = "Individual data sets"
DATASETS = ("live_qualcomm", "cvd2014", "live_vqc", "youtube_ugc", "konvid_1k")
SEMANTIC = {"S+S": "SS", "S+M": "MS"}
ROWS = {f"{m},{s}": f"A2INet {m}({s})" for s, m in product(SEMANTIC, ("PR", "FR"))}


def build(row: str, dataset: str, networks: str = "") -> ConfigDict:
    mode, streams = row.split(",")
    config, parts = rows.start(2, row, dataset, networks)
    rows.use(config, parts["SQ"], parts[SEMANTIC[streams]])
    if mode == "PR":
        rows.preprocessed(config)
    return config


def get_config(argument: str = "") -> ConfigDict:
    return build(*rows.split(argument, 2, ROWS))
