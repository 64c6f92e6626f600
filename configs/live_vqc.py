"""LIVE-VQC with the paper's settings: full resolution, UNIQUE's ResNet-34 beside ResNet-50 (S+S).

a2inet demo --config=configs/live_vqc.py --config.data.manual_dir=~/LIVE-VQC
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.name = "live_vqc"
    config.data.name = "live_vqc"
    return config
