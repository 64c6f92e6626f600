"""The sample data set with motion for the semantic stream (S+M): I3D, on clips of 16 frames.

a2inet demo --config=configs/sample_motion.py
"""

from ml_collections import ConfigDict

from configs import sample


def get_config() -> ConfigDict:
    config = sample.get_config()
    config.name = "motion"
    config.features.semantic = "i3d_kinetics400"
    return config
