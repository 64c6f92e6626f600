"""Any data set with the paper's settings: full resolution, UNIQUE's ResNet-34 beside ResNet-50 (S+S).

a2inet demo --config=dataset:konvid_1k --config.data.manual_dir=~/KoNViD-1k
a2inet demo --config=dataset:clips/labels.csv

The argument is a name of `a2inet data list`, or your own CSV file with columns path, mos and, where videos
share content, reference_id (or a folder with such a labels.csv). The networks that need no download by hand:

a2inet demo --config=dataset:clips/labels.csv --config.features.quality=resnet18_fdim \
    --config.features.semantic=efficientnet_lite0
"""

from ml_collections import ConfigDict

from a2inet_jax.configs import base
from a2inet_jax.datasets import registry
from a2inet_jax.errors import ConfigError


def get_config(name: str = "") -> ConfigDict:
    if not name:
        known = ", ".join(registry.NAMES)
        raise ConfigError(f"name a data set, as dataset:NAME with a CSV file or one of {known}")
    config = base.get_config()
    config.name = registry.slug(name)
    config.paper_row = "table2:FR,S+S"
    config.data.name = name
    if name == "lsvq":
        # Its authors split it; LSVQ-1080p, their second test subset, is the data set lsvq_1080p.
        config.splits.kind = "own"
        config.splits.num_splits = 1
        config.splits.validation_fraction = 0.1
    return config
