"""Table 4: which features, each straight into the temporal network and the temporal pooling.

a2inet train --config=configs/table4.py:SQ+MS

SQ is spatial quality, SS spatial semantic, MS motion semantic; + puts two side by side. Another data set:
--config.data.name=live_vqc --config.name=table4_SQ+MS_live_vqc
"""

from ml_collections import ConfigDict

from configs import konvid_1k

SQ, SS, MS = "resnet34_unique", "resnet50_imagenet", "slowfast_r50_fast"
# Row → the backbones whose features are stored, and what of them is used. A row of one stream shares the
# stored features with a row of two.
_ROWS = {
    "SQ": (SQ, SS, ("quality",)),
    "SS": (SQ, SS, ("semantic",)),
    "MS": (SQ, MS, ("semantic",)),
    "SQ+SS": (SQ, SS, ("quality", "semantic")),
    "SQ+MS": (SQ, MS, ("quality", "semantic")),
    "SS+MS": (SS, MS, ("quality", "semantic")),
}
ROWS = tuple(_ROWS)


def get_config(row: str = "") -> ConfigDict:
    if row not in ROWS:
        raise ValueError(
            f"table 4 has no row {row!r}: take configs/table4.py:ROW of {' '.join(ROWS)}"
        )
    config = konvid_1k.get_config()
    config.name = f"table4_{row}"
    config.features.quality, config.features.semantic, config.model.streams = _ROWS[row]
    config.model.name = "vsfa"
    config.baselines = ()
    return config
