"""Table 6: CGIN against the normalizations that it extends, in the full model.

a2inet train --config=table6:adain_s_to_q,S+S

A row is a normalization, a comma, and the streams: S+S has a spatial semantic stream, S+M that of motion.
"""

from itertools import product

from ml_collections import ConfigDict

from a2inet_jax.configs import rows

TITLE = "Normalizations"
DATASETS = ("live_qualcomm", "live_vqc", "konvid_1k")
NORMALIZATIONS = {
    "adain_s_to_q": "AdaIN S->Q",
    "adain_q_to_s": "AdaIN Q->S",
    "fgin_s_to_q": "FGIN S->Q",
    "fgin_q_to_s": "FGIN Q->S",
    "cgin": "CGIN",
}
SEMANTIC = {"S+S": "SS", "S+M": "MS"}
ROWS = {f"{n},{s}": f"{NORMALIZATIONS[n]} ({s})" for n, s in product(NORMALIZATIONS, SEMANTIC)}


def build(row: str, dataset: str, networks: str = "") -> ConfigDict:
    normalization, streams = row.split(",")
    config, parts = rows.start(6, row, dataset, networks)
    rows.use(config, parts["SQ"], parts[SEMANTIC[streams]])
    config.model.normalization = normalization
    return config


def get_config(argument: str = "") -> ConfigDict:
    return build(*rows.split(argument, 6, ROWS))
