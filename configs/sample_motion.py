"""The sample data set with motion for the semantic stream (S+M): I3D, on clips of 16 frames.

a2inet demo --config=sample_motion
"""

from ml_collections import ConfigDict

from a2inet_jax.configs import sample


def get_config() -> ConfigDict:
    config = sample.get_config()
    config.name = "motion"
    config.paper_row = "table2:FR,S+M"
    config.features.semantic = "i3d_kinetics400"
    return config
