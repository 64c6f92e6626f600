"""The sample data set, end to end within minutes on a laptop's CPU.

a2inet demo --config=sample
"""

from ml_collections import ConfigDict

from a2inet_jax.configs import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.name = "demo"
    config.paper_row = "table2:FR,S+S"  # clear it in a copy whose features or model differ
    config.data.name = "sample"

    # Networks from the Python package index; 16 frames of each two-second clip.
    config.features.quality = "resnet18_fdim"
    config.features.semantic = "efficientnet_lite0"
    config.features.num_frames = 16

    # Few short clips need a smaller head and larger steps than the paper's data sets. Rates, decay and
    # epochs were chosen on validation subsets; after that, these contents are worth more for training.
    config.model.width = 256
    config.splits.validation_fraction = 0.0
    config.train.epoch_rule = "last"
    config.train.learning_rate = 5e-4
    config.train.weight_decay = 1.0
    config.train.schedule = "cosine"
    config.train.warmup_fraction = 0.1
    config.train.batch_size = 16
    config.train.epochs = 12
    return config
