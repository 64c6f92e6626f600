"""Experiments for tests: a config with overrides, as the command line takes them."""

from ml_collections import ConfigDict

from a2inet_jax import config_file
from a2inet_jax.config import Experiment


def changed(config: Experiment, *overrides: str) -> Experiment:
    """Return the experiment with some fields changed, `x.y=v` each."""
    return config_file.resolve(ConfigDict(config.to_dict()), overrides)
