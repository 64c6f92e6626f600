"""Table 3: trained on LSVQ's training subset, tested on its two test subsets and on other data sets.

a2inet train --config=table3:PR,S+M@lsvq

The rows are those of Table 2. `a2inet table 3` trains on the first data set given, and tests on all.
"""

from ml_collections import ConfigDict

from a2inet_jax.configs import rows, table2

TITLE = "Trained on one data set, tested on it and on others"
DATASETS = ("lsvq", "lsvq_1080p", "konvid_1k", "live_vqc")
ROWS = table2.ROWS


def build(row: str, dataset: str, networks: str = "") -> ConfigDict:
    config = table2.build(row, dataset, networks)
    config.name = config.name.replace("table2", "table3")
    return config


def get_config(argument: str = "") -> ConfigDict:
    row, dataset = rows.split(argument, 3, ROWS)
    return build(row, dataset if "@" in argument else "lsvq")
