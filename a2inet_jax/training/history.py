"""Training history, one record per epoch: the progress of a run, a CSV table and TensorBoard curves."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
from tensorboardX import SummaryWriter

from a2inet_jax import files, metrics
from a2inet_jax.config import EpochRule

Record = Mapping[str, float | None]
COLUMNS = (
    "epoch",
    "train_loss",
    "mae",
    "rank",
    "val_srcc",
    "val_plcc",
    "test_srcc",
    "test_plcc",
)
MemberKey = tuple[str, int, int]  # group, split index, seed


@dataclass
class Progress:
    """Training progress, which a checkpoint holds; with the seeds it determines all batches to come.

    Attributes:
        epochs: Finished epochs.
        steps: Finished steps of the epoch after them.
        losses: `[steps, S, 3]`, the total, MAE and rank loss of these steps.
        histories: For each member one record per finished epoch.
    """

    epochs: int = 0
    steps: int = 0
    losses: list[Any] = field(default_factory=list)
    histories: list[list[Record]] = field(default_factory=list)

    def steps_done(self, steps_per_epoch: int) -> int:
        """Return the finished steps of all epochs."""
        return self.epochs * steps_per_epoch + self.steps

    def add_steps(self, losses_SxKx3: np.ndarray) -> None:
        """Count steps of the present epoch."""
        self.losses += np.moveaxis(losses_SxKx3, 1, 0).tolist()
        self.steps += losses_SxKx3.shape[1]

    def add_epoch(self, records: Sequence[Record]) -> None:
        """End the present epoch with each member's record."""
        for history, record in zip(self.histories, records, strict=True):
            history.append(record)
        self.epochs, self.steps, self.losses = self.epochs + 1, 0, []


def correlations(score: np.ndarray, label: np.ndarray) -> tuple[float | None, float | None]:
    """Return SRCC and PLCC (linear, without a fitted curve) of `[n]` scores and labels.

    Both are `metrics`'s, and None where these are undefined or there are no videos.
    """
    if not len(score):
        return None, None
    found = metrics.srcc(score, label), metrics.plcc(score, label)
    srcc, plcc = (None if isnan(value) else value for value in found)
    return srcc, plcc


def median_srcc(histories: Sequence[Sequence[Record]]) -> float | None:
    """Return the median over members of the last epoch's SRCC on the validation sets, if there is one."""
    latest = [history[-1]["val_srcc"] for history in histories if history]
    values = [value for value in latest if value is not None]
    return float(np.median(values)) if values else None


def write(folder: Path, histories: Mapping[MemberKey, Sequence[Record]]) -> None:
    """Replace these members' rows in `history.csv`, whole or not at all; other members' rows stay.

    Undefined values are empty cells.

    Args:
        folder: Folder of the table, or of the groups' folders with one table each; made if needed.
        histories: For each member one record per epoch, with a value for each of `COLUMNS`.
    """
    for group in sorted({group for group, _, _ in histories}):
        of_group = {key[1:]: history for key, history in histories.items() if key[0] == group}
        _write(folder / group / "history.csv", of_group)


def _write(path: Path, histories: Mapping[tuple[int, int], Sequence[Record]]) -> None:
    header = ["split", "seed", *COLUMNS]
    rows = []
    if path.is_file():
        with path.open(newline="") as file:
            rows = list(csv.reader(file))[1:]
    rows = [row for row in rows if (int(row[0]), int(row[1])) not in histories]
    for (split_index, seed), history in histories.items():
        for record in history:
            cells = ["" if (x := record[name]) is None else repr(x) for name in COLUMNS]
            rows.append([str(split_index), str(seed), *cells])
    rows.sort(key=lambda row: [int(x) for x in row[:3]])
    files.write_csv(path, header, rows)


@contextmanager
def curves(
    folder: Path, members: Sequence[MemberKey], done: int, writes: bool = True
) -> Iterator[Callable[[MemberKey, Record], None]]:
    """Open each member's TensorBoard folder; yield a function that adds an epoch to its curves.

    Args:
        folder: Folder of `tensorboard/`, or of the groups' folders with one each.
        members: The members that are trained.
        done: Number of finished epochs; points of later ones are purged.
        writes: False in a process that leaves the writing to another.
    """
    if not writes:
        yield lambda member, record: None
        return
    with ExitStack() as stack:
        writers = {
            (group, split_index, seed): stack.enter_context(
                SummaryWriter(
                    str(folder / group / "tensorboard" / f"split_{split_index:02d}_seed_{seed}"),
                    purge_step=done + 1,
                )
            )
            for group, split_index, seed in members
        }

        def add_epoch(member: MemberKey, record: Record) -> None:
            for name in COLUMNS[1:]:
                if (value := record[name]) is not None:
                    writers[member].add_scalar(name, value, record["epoch"])

        yield add_epoch


def select_epoch(history: Sequence[Record], rule: EpochRule) -> int:
    """Return the epoch, counted from 1, that the rule selects.

    It is the last one for "last", or the one with the highest SRCC on the validation set ("best_val") or the
    test set ("best_test", which is optimistic). Of equal ones the earliest wins; an undefined SRCC loses to
    any other.
    """
    if rule == "last":
        return len(history)
    column = {"best_val": "val_srcc", "best_test": "test_srcc"}[rule]
    values = [-np.inf if (value := r[column]) is None else value for r in history]
    return int(np.argmax(values)) + 1
