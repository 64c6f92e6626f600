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

    # Few short clips need a smaller head and larger steps than the paper's data sets. Rates, decay and
    # epochs were chosen on validation parts; that settled, these contents are worth more for training.
    config.model.width = 256
    config.splits.validation = 0.0
    config.train.epoch_rule = "last"
    config.train.learning_rate = 5e-4
    config.train.weight_decay = 1.0
    config.train.schedule = "cosine"
    config.train.warmup = 0.1
    config.train.batch_size = 16
    config.train.epochs = 12
    return config
