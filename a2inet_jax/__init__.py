"""Blind video quality assessment in JAX: how good a video looks, with no reference to compare it to.

    with a2inet_jax.load("runs/demo") as scorer:
        print(scorer.score("video.mp4").score)

The rooms, in the order in which data passes through them:

- `config`: every field of an experiment; `configs`: the experiments; `build`: their parts.
- `video`: guarded decoding, frame sampling, resizing.
- `datasets`: labelled videos, their registry and splits; lists of any videos.
- `backbones`: frozen pretrained networks, one for quality and one for content.
- `features`: features of frames, on one machine or many, and the store that keeps them.
- `model`: A2INet's head (CGIN, attention, CATM, GRU, pooling), and VSFA's.
- `metrics`: SRCC, PLCC, KRCC and RMSE, for the epoch rules and for results.
- `training`: losses, batches, steps on one device or many, checkpoints.
- `evaluation`: protocol, intervals and paired tests, baselines.
- `report`: pages, plots, and tables beside the paper's.
- `pipeline`: the steps of an experiment; `commands`: the verbs of `a2inet`, the command line in `main`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from a2inet_jax.errors import (
    A2INetError,
    ConfigError,
    DataError,
    RunError,
    StoreError,
    TrainingError,
    VideoError,
    WeightsError,
)

if TYPE_CHECKING:
    from a2inet_jax.scoring import Score, Scorer

    __version__: str

__all__ = [
    "A2INetError",
    "ConfigError",
    "DataError",
    "RunError",
    "Score",
    "Scorer",
    "StoreError",
    "TrainingError",
    "VideoError",
    "WeightsError",
    "__version__",
    "load",
]


def load(run: Path | str) -> "Scorer":
    """Open a trained run for scoring.

    Args:
        run: Its folder, such as `runs/demo`.

    Raises:
        FileNotFoundError: The folder holds no finished run, or the backbones' weights are not here.
        RunError: The backbones' weights are not those that the run was trained with, or its models were
            changed or are not finite.
    """
    from a2inet_jax.scoring import Scorer

    return Scorer(Path(run))


def __getattr__(name: str) -> Any:
    """Import on first use: the decoding processes import this package, and need not wait for JAX."""
    if name in ("Score", "Scorer"):
        from a2inet_jax import scoring

        return getattr(scoring, name)
    if name == "__version__":
        from importlib.metadata import version

        return version("a2inet-jax")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
