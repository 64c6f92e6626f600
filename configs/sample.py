"""The sample data set, end to end within minutes on a laptop's CPU.

a2inet demo --config=configs/sample.py
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.name = "demo"
    config.data.name = "sample"

    # Networks that the Python package index carries; 16 frames of each two-second clip.
    config.features.quality = "resnet18_fdim"
    config.features.semantic = "efficientnet_lite0"
    config.features.frames = 16

    # 300 short clips need a smaller head and a larger step than the paper's data sets.
    config.model.width = 256
    config.train.learning_rate = 1e-4
    config.train.batch_size = 16
    return config
