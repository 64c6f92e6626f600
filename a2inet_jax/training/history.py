"""Training history, one record per epoch: a CSV table and TensorBoard curves."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from scipy import stats
from tensorboardX import SummaryWriter

from a2inet_jax import files
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


def correlations(score: np.ndarray, label: np.ndarray) -> tuple[float | None, float | None]:
    """Return SRCC and PLCC (linear, without a fitted curve) of `[n]` scores and labels.

    Both are None where undefined: for fewer than two videos, constant scores or constant labels.
    """
    if len(score) < 2 or np.ptp(score) == 0 or np.ptp(label) == 0:
        return None, None
    score, label = np.asarray(score, np.float64), np.asarray(label, np.float64)
    ranks = stats.rankdata(score), stats.rankdata(label)
    return float(np.corrcoef(*ranks)[0, 1]), float(np.corrcoef(score, label)[0, 1])


def write(folder: Path, histories: Mapping[MemberKey, Sequence[Record]]) -> None:
    """Replace these members' rows in `metrics.csv`; other members' rows stay.

    The table is never half-written. Undefined values are empty cells.

    Args:
        folder: Folder of the table, or of the groups' folders with one table each; made if needed.
        histories: For each member one record per epoch, with a value for each of `COLUMNS`.
    """
    for group in sorted({group for group, _, _ in histories}):
        of_group = {key[1:]: history for key, history in histories.items() if key[0] == group}
        _write(folder / group / "metrics.csv", of_group)


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
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    files.write(path, text.getvalue().encode())


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
