"""LIVE-Qualcomm with the paper's settings: full resolution, UNIQUE's ResNet-34 beside ResNet-50 (S+S).

a2inet demo --config=configs/live_qualcomm.py --config.data.manual_dir=~/LIVE-Qualcomm
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.name = "live_qualcomm"
    config.data.name = "live_qualcomm"
    return config
