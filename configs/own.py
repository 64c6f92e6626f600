r"""Your own videos and labels, with the paper's settings.

a2inet demo --config=configs/own.py:clips/labels.csv

The argument is a CSV file with columns path, mos and, where videos share content, reference_id; or a folder
with such a file. The networks that the package index carries, which need no download by hand:

a2inet demo --config=configs/own.py:clips/labels.csv --config.features.quality=resnet18_fdim \
  --config.features.semantic=efficientnet_lite0
"""

from ml_collections import ConfigDict

from a2inet_jax.datasets import registry
from configs import base


def get_config(path: str = "labels.csv") -> ConfigDict:
    config = base.get_config()
    config.name = registry.slug(path)
    config.data.name = path
    return config
