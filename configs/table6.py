"""Table 6: CGIN against the normalizations it comes from, in the full model.

a2inet train --config=configs/table6.py:adain_s_to_q,S+S

A row is a normalization, a comma, and the streams: S+S has a spatial semantic stream, S+M that of motion.
"""

from itertools import product

from ml_collections import ConfigDict

from configs import konvid_1k

NORMALIZATIONS = ("adain_s_to_q", "adain_q_to_s", "fgin_s_to_q", "fgin_q_to_s", "cgin")
SEMANTIC = {"S+S": "resnet50_imagenet", "S+M": "slowfast_r50_fast"}
ROWS = tuple(",".join(pair) for pair in product(NORMALIZATIONS, SEMANTIC))


def get_config(row: str = "") -> ConfigDict:
    if row not in ROWS:
        raise ValueError(
            f"table 6 has no row {row!r}: take configs/table6.py:ROW of {' '.join(ROWS)}"
        )
    normalization, streams = row.split(",")
    config = konvid_1k.get_config()
    config.name = f"table6_{normalization}_{streams}"
    config.features.semantic = SEMANTIC[streams]
    config.model.normalization = normalization
    config.baselines = ()
    return config
