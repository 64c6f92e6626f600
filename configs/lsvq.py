"""LSVQ with the paper's settings: full resolution, UNIQUE's ResNet-34 beside ResNet-50 (S+S).

a2inet demo --config=configs/lsvq.py --config.data.manual_dir=~/LSVQ
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.name = "lsvq"
    config.data.name = "lsvq"
    # Its authors part it; LSVQ-1080p, the second test part, is the data set lsvq_1080p.
    config.splits.kind = "own"
    config.splits.number = 1
    config.splits.validation = 0.1
    return config
