"""YouTube-UGC with the paper's settings: full resolution, UNIQUE's ResNet-34 beside ResNet-50 (S+S).

a2inet demo --config=configs/youtube_ugc.py --config.data.manual_dir=~/YouTube-UGC
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.name = "youtube_ugc"
    config.data.name = "youtube_ugc"
    return config
