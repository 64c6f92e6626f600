"""Training of one split from its first epoch, or its latest checkpoint, to its last; and prediction.

In `folder`, which all splits of a model share, are `metrics.csv`, `checkpoints/split_NN/` and
`tensorboard/split_NN/`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from a2inet_jax.datasets.splits import Split
from a2inet_jax.training import history, identity, parallel, state
from a2inet_jax.training.batches import Data, Features, Order, batches, epoch_batches
from a2inet_jax.training.checkpoint import open_folder
from a2inet_jax.training.history import Record
from a2inet_jax.training.losses import Losses
from a2inet_jax.training.settings import Settings
from a2inet_jax.training.state import TrainState


class DivergedError(ArithmeticError):
    """The loss became NaN or infinite."""


@dataclass(frozen=True)
class Trained:
    """A split's model.

    Attributes:
        params: NumPy parameters of the epoch that the epoch rule picked.
        label_range: Lowest and highest label of the training part, to which the model's scores 0
            and 1 are mapped back.
        epoch: The epoch picked, from 1.
        history: A record an epoch, with `history.COLUMNS`.
    """

    params: Any
    label_range: tuple[float, float]
    epoch: int
    history: list[Record]


class Predictions(NamedTuple):
    """`score` `[n]` and `frame_scores` `[n, T]` (0 in the padding), float64, in the labels' scale."""

    score: np.ndarray
    frame_scores: np.ndarray


def train_split(
    model: nn.Module,
    features: Features,
    split: Split,
    settings: Settings,
    folder: Path,
    split_index: int,
    on_epoch: Callable[[int], None],
) -> Trained:
    """Trains a model on a split, or goes on from the split's latest checkpoint.

    Model, features, split and settings decide every number: a training that was killed and called
    again ends like one that was not, bit for bit on a CPU. One that is complete is read back.

    Args:
        model: `model.apply({"params": p}, streams, mask)` gives `Outputs`.
        features: Of all videos of the split, at least.
        split: Ids of its training, validation and test parts.
        settings: How to train.
        folder: The model's folder, shared by its splits.
        split_index: The split's number; names its files, and seeds along with `settings.seed`.
        on_epoch: Called with the number of epochs done: at the start, and after each.

    Returns:
        The parameters that the epoch rule picked, and how it went.

    Raises:
        ValueError: The folder holds a training of other settings, model, features or split; videos
            lack features; the labels of the training part are all alike; or the epoch rule has too
            few videos to choose by.
        DivergedError: The loss is not finite.
    """
    _check_rule(settings, split, split_index)
    name = f"split_{split_index:02d}"
    identity.claim(
        folder / "checkpoints" / name, identity.describe(model, features, split, settings)
    )
    train = features.rows(split.train)
    held_out = {"val": features.rows(split.validation), "test": features.rows(split.test)}
    lo, hi = label_range = _label_range(features.mos[train], split_index)
    steps = settings.epochs * -(-len(train) // settings.batch_size)

    def create() -> TrainState:
        return state.create(model, settings, features, split_index, steps)

    with open_folder(folder / "checkpoints" / name) as checkpoints:
        like = jax.eval_shape(create)
        found = checkpoints.load({"state": like, "best": like.params})
        tree: Any
        records: list[Record]
        tree, records = found or ({"state": (start := create()), "best": start.params}, [])
        history.write(folder / "metrics.csv", split_index, records)
        on_epoch(len(records))
        if len(records) == settings.epochs:
            return _trained(tree["best"], label_range, records, settings)

        runner = parallel.runner(settings.parallel)
        width = runner.width(settings.batch_size)
        label = ((features.mos - lo) / (hi - lo)).astype(np.float32)
        data = runner.put(Data(features.streams, features.mask, label))
        tree = runner.put(tree)
        with history.curves(folder / "tensorboard" / name, len(records)) as draw:
            for epoch in range(len(records) + 1, settings.epochs + 1):
                key = (settings.seed, split_index, epoch)
                order = epoch_batches(key, train, settings.batch_size, width)
                new, losses = runner.train(model, settings, tree["state"], data, order)
                record: dict[str, float | None] = {"epoch": epoch}
                record |= _means(runner.get(losses), order, split_index, epoch)
                for part, rows in held_out.items():
                    order = batches(rows, settings.batch_size, width)
                    score, _ = runner.score(model, new.params, data, order)
                    srcc, plcc = history.correlations(score, features.mos[rows])
                    record |= {f"{part}_srcc": srcc, f"{part}_plcc": plcc}
                records = [*records, record]
                is_best = history.chosen_epoch(records, settings.epoch_rule) == epoch
                tree = {"state": new, "best": new.params if is_best else tree["best"]}
                history.write(folder / "metrics.csv", split_index, records)
                draw(record)
                if epoch % settings.checkpoint_every == 0 or epoch == settings.epochs:
                    checkpoints.save(epoch, runner.get(tree), records)
                on_epoch(epoch)
        return _trained(runner.get(tree["best"]), label_range, records, settings)


def predict(
    model: nn.Module, trained: Trained, features: Features, rows: np.ndarray, batch_size: int = 16
) -> Predictions:
    """Scores of rows `[n]` of the features by a trained model."""
    lo, hi = trained.label_range
    runner = parallel.OneDevice()
    data = runner.put(Data(features.streams, features.mask, np.zeros(len(features.ids))))
    score, frames = runner.score(model, trained.params, data, batches(rows, batch_size))
    score, frames = lo + (hi - lo) * score, lo + (hi - lo) * frames
    return Predictions(score, np.where(features.mask[rows], frames, 0))


def _trained(
    params: Any, label_range: tuple[float, float], records: list[Record], settings: Settings
) -> Trained:
    chosen = history.chosen_epoch(records, settings.epoch_rule)
    return Trained(params, label_range, chosen, records)


def _check_rule(settings: Settings, split: Split, split_index: int) -> None:
    watched = {"best_val": split.validation, "best_test": split.test}.get(settings.epoch_rule)
    if watched is not None and len(watched) < 2:
        raise ValueError(
            f"split {split_index}: epoch_rule {settings.epoch_rule!r} chooses by a part that has "
            f"{len(watched)} videos. Make splits with a larger one, or take 'last'"
        )


def _label_range(mos: np.ndarray, split_index: int) -> tuple[float, float]:
    lo, hi = float(mos.min()), float(mos.max())
    if not lo < hi:
        raise ValueError(f"split {split_index}: all labels of the training part are {lo}")
    return lo, hi


def _means(steps: list[Losses], order: Order, split_index: int, epoch: int) -> dict[str, float]:
    """Means over the epoch's videos of the losses that its steps had."""
    total, mae, rank = np.average(
        np.array(steps, np.float64), axis=0, weights=order.where.sum(axis=1)
    ).tolist()
    if not math.isfinite(total):
        raise DivergedError(
            f"split {split_index}, epoch {epoch}: the loss is {total}. Lower the learning rate, or look "
            "for features that are not finite"
        )
    return {"train_loss": total, "mae": mae, "rank": rank}
