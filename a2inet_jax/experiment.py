"""An experiment as its config says, step by step: prepare → extract → train → evaluate → report.

The one file of the package that reads configs; the rooms take plain values. A step reuses what is complete,
so a job that was killed goes on where it was when the same command is given again.
"""

import csv
import json
import os
import platform
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from a2inet_jax.console import console, progress
from a2inet_jax.datasets import index, splits
from a2inet_jax.datasets.splits import Split
from a2inet_jax.datasets.video import Video
from a2inet_jax.evaluation import baselines, metrics, protocol
from a2inet_jax.evaluation import report as report_page
from a2inet_jax.features.extract import Extractor, extract_all
from a2inet_jax.features.store import Store
from a2inet_jax.model import ensemble
from a2inet_jax.model.a2inet import A2INet
from a2inet_jax.model.vsfa import VSFA
from a2inet_jax.training import batches, loop

A2INET = "a2inet"


def demo(config: ConfigDict) -> int:
    """All steps; stops at the first that fails."""
    for step in (prepare, extract, train, evaluate, report):
        if code := step(config):
            return code
    return 0


def prepare(config: ConfigDict) -> int:
    """Make the data set (or find it) and its index."""
    with progress("prepare") as advance:
        index.prepare(config.data.name, Path(config.data.folder), advance)
    return 0


def extract(config: ConfigDict) -> int:
    """Features of every video that has none yet; failures are listed and give exit code 1."""
    videos = _videos(config)
    with extractor(config) as frames_to_features, progress("extract") as advance:
        store = _store(config, frames_to_features)
        failures = extract_all(videos, frames_to_features, store, advance)
    for failure in failures:
        console.print(f"[red]failed[/] {failure.path}: {failure.reason}", highlight=False)
    return 1 if failures else 0
