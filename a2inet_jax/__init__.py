"""Blind video quality assessment in JAX: how good does a video look, with no reference to compare to?

The rooms, in the order in which data passes through them:

- `video`: guarded decoding, frame sampling, resizing.
- `datasets`: labelled videos, their index and splits; lists of any videos.
- `backbones`: frozen pretrained networks, one for quality and one for content.
- `features`: features of frames, on one machine or many, and the store that keeps them.
- `model`: A2INet's head (CGIN, attention, CATM, GRU, pooling), and VSFA's.
- `training`: losses, batches, steps on one device or many, checkpoints.
- `evaluation`: metrics, protocol, intervals and paired tests, baselines.
- `report`: pages, plots, and tables beside the paper's.
- `commands`: what `a2inet` does with all of these, as configs say.

`load(run).score(path)` scores a video with a trained run; `main` is the command `a2inet`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from a2inet_jax.scoring import Scorer

__all__ = ["load"]


def load(run: Path | str) -> "Scorer":
    """Open a trained run for scoring.

    Args:
      run: its folder, such as `runs/demo`.

    Returns:
      A `Scorer`: `with a2inet_jax.load("runs/demo") as scorer: print(scorer.score("video.mp4").score)`.

    Raises:
      FileNotFoundError: the folder holds no finished run, or the backbones' weights are not here.
    """
    # Imported late: the decoding child imports this package, and must not wait for JAX.
    from a2inet_jax.scoring import Scorer

    return Scorer(Path(run))
