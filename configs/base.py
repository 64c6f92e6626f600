"""Defaults of every experiment, as `a2inet_jax/config.py` has them; `a2inet config fields` explains each.

a2inet train --config=base --config.data.name=konvid_1k
"""

from ml_collections import ConfigDict

from a2inet_jax.config import config_dict


def get_config() -> ConfigDict:
    return config_dict()
