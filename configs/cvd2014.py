"""CVD2014 with the paper's settings: full resolution, UNIQUE's ResNet-34 beside ResNet-50 (S+S).

a2inet demo --config=configs/cvd2014.py --config.data.manual_dir=~/CVD2014
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.name = "cvd2014"
    config.data.name = "cvd2014"
    return config
