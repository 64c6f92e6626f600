"""An experiment as its config says, step by step: prepare → extract → train → evaluate → report.

A step reuses what is complete, so a job that was killed goes on where it was when the same command is given
again.
"""

import json
from pathlib import Path

from a2inet_jax.backbones import weights
from a2inet_jax.build import (
    Config,
    backbone,
    build_model,
    data_folder,
    draw_splits,
    labelled_videos,
    listed_videos,
    needed_weights,
    networks,
)
from a2inet_jax.commands.data import prepare as prepare_data
from a2inet_jax.commands.evaluate import evaluate
from a2inet_jax.commands.extract import extract
from a2inet_jax.commands.report import report
from a2inet_jax.commands.train import train
from a2inet_jax.console import console
from a2inet_jax.model import cost

__all__ = ["demo", "describe", "evaluate", "extract", "prepare", "report", "train"]


def demo(config: Config) -> int:
    """Weights and all steps; ends at the first step that fails."""
    for name in needed_weights(config):
        weights.get(name)
    for step in (prepare, try_splits, extract, train, evaluate, report):
        if code := step(config):
            return code
    return 0


def prepare(config: Config) -> int:
    """Make what is missing of the data set and its index.

    Returns:
      The exit code: 1 if videos are missing, unless `data.allow_missing` says to go on without them.
    """
    data = config["data"]
    folder = Path(data["manual_dir"]).expanduser() if data["manual_dir"] else None
    return prepare_data(data["name"], data_folder(config), folder, data["allow_missing"])


def try_splits(config: Config) -> int:
    """What can't be split is refused before hours go into its features."""
    draw_splits(config, labelled_videos(config), listed_videos(config))
    return 0


def describe(config: Config, frames: int = 240, as_json: bool = False) -> int:
    """Parameters and FLOPs of the model and of its neural baselines, for one video of so many frames."""
    widths = [backbone(config["features"][stream]).width for stream in config["model"]["streams"]]
    costs = {
        name: cost.measure(build_model(name, config["model"]), widths, frames)
        for name in networks(config)
    }
    if as_json:
        models = {name: each.as_dict() for name, each in costs.items()}
        print(json.dumps({"config": config["name"], "frames": frames, "models": models}))
    else:
        for name, each in costs.items():
            console.print(cost.table(name, each))
    return 0
