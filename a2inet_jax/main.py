"""Blind video quality assessment with A2INet.

  a2inet demo     [--config=C]                  prepare, extract, train, evaluate, report
  a2inet prepare  --config=C                    make or index the data set
  a2inet extract  --config=C                    features of every video that has none yet
  a2inet train    --config=C                    A2INet and its neural baselines over all splits
  a2inet evaluate --config=C                    SRCC, PLCC, KRCC, RMSE; metrics.json and the table
  a2inet report   --config=C                    report.html
  a2inet score    FILE|FOLDER|CSV... [--run=R] [--json | --csv=OUT]
  a2inet weights  list | get NAME...            pretrained backbones; `get default` brings the default pair

A config is a file such as configs/sample.py; any field is changed by --config.train.epochs=20 and the like.
The exit code is 0 only when nothing failed.
"""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import app, flags, logging
from ml_collections import config_flags

_CONFIG = config_flags.DEFINE_config_file("config", help_string="The experiment, configs/sample.py")
_RUN = flags.DEFINE_string("run", "runs/demo", "Folder of a trained run, for `score`")
_JSON = flags.DEFINE_bool("json", False, "score: one JSON object a video on standard output")
_CSV = flags.DEFINE_string("csv", None, "score: write the scores to this CSV file")


def _step(name: str) -> Callable[[Sequence[str]], int]:
    def call(arguments: Sequence[str]) -> int:
        from a2inet_jax import experiment

        if arguments:
            raise app.UsageError(f"`a2inet {name}` takes no arguments, only --config")
        if _CONFIG.value is None:
            raise app.UsageError(f"`a2inet {name}` needs --config=configs/….py")
        return getattr(experiment, name)(_CONFIG.value)

    return call


def _score(arguments: Sequence[str]) -> int:
    from a2inet_jax import scoring

    if not arguments:
        raise app.UsageError("`a2inet score` needs a video, a folder or a CSV file")
    return scoring.score_all(
        [Path(a) for a in arguments],
        Path(_RUN.value),
        as_json=_JSON.value,
        csv_path=Path(_CSV.value) if _CSV.value else None,
    )


def _weights(arguments: Sequence[str]) -> int:
    from a2inet_jax.backbones import weights
    from a2inet_jax.console import console

    match list(arguments):
        case ["list"]:
            console.print(weights.table())
        case ["get", *names] if names:
            for name in names:
                for path in weights.get(name):
                    console.print(f"{path}", highlight=False, soft_wrap=True)
        case _:
            raise app.UsageError("`a2inet weights list` or `a2inet weights get NAME...`")
    return 0
