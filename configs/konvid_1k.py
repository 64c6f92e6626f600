"""KoNViD-1k with the paper's settings: full resolution, UNIQUE's ResNet-34 beside ResNet-50 (S+S).

a2inet demo --config=configs/konvid_1k.py --config.data.manual_dir=~/KoNViD-1k
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.name = "konvid_1k"
    config.data.name = "konvid_1k"
    return config
