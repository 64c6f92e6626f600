"""What each epoch gave, as a table in CSV and as curves in TensorBoard."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from scipy import stats
from tensorboardX import SummaryWriter

from a2inet_jax import atomic
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
MemberName = tuple[str, int, int]  # group, split's number, seed


def correlations(score: np.ndarray, label: np.ndarray) -> tuple[float | None, float | None]:
    """SRCC and PLCC (linear, without a fitted curve) of `[n]` scores and labels.

    None where undefined: fewer than two videos, or all scores or labels alike.
    """
    if len(score) < 2 or np.ptp(score) == 0 or np.ptp(label) == 0:
        return None, None
    score, label = np.asarray(score, np.float64), np.asarray(label, np.float64)
    ranks = stats.rankdata(score), stats.rankdata(label)
    return float(np.corrcoef(*ranks)[0, 1]), float(np.corrcoef(score, label)[0, 1])


def write(folder: Path, histories: Mapping[MemberName, Sequence[Record]]) -> None:
    """Puts members' epochs in place of those that `metrics.csv` has of them; other members' rows stay.

    At no moment is the table half-written. Empty cells are undefined values.

    Args:
        folder: Where the table is, or the groups' folders with one each; made if it is not there.
        histories: For each member one record an epoch, with a value for each of `COLUMNS`.
    """
    for group in sorted({group for group, _, _ in histories}):
        chosen = {key[1:]: history for key, history in histories.items() if key[0] == group}
        _write(folder / group / "metrics.csv", chosen)


def _write(path: Path, histories: Mapping[tuple[int, int], Sequence[Record]]) -> None:
    header = ["split", "seed", *COLUMNS]
    rows = []
    if path.is_file():
        with path.open(newline="") as file:
            rows = list(csv.reader(file))[1:]
    rows = [row for row in rows if (int(row[0]), int(row[1])) not in histories]
    for (split, seed), history in histories.items():
        for record in history:
            cells = [record[name] for name in COLUMNS]
            rows.append([str(split), str(seed), *("" if x is None else repr(x) for x in cells)])
    rows.sort(key=lambda row: [int(x) for x in row[:3]])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    atomic.write(path, text.getvalue().encode())


@contextmanager
def curves(
    folder: Path, members: Sequence[MemberName], done: int, writes: bool = True
) -> Iterator[Callable[[MemberName, Record], None]]:
    """Opens each member's TensorBoard folder; gives a function that adds an epoch to its curves.

    Args:
        folder: Where the folder `tensorboard` lies, or the groups' folders with one each.
        members: Those that are trained.
        done: Epochs that count; what stands there of later ones is purged.
        writes: False for a process that leaves it to another.
    """
    if not writes:
        yield lambda member, record: None
        return
    with ExitStack() as stack:
        writers = {
            (group, split, seed): stack.enter_context(
                SummaryWriter(
                    str(folder / group / "tensorboard" / f"split_{split:02d}_seed_{seed}"),
                    purge_step=done + 1,
                )
            )
            for group, split, seed in members
        }

        def draw(member: MemberName, record: Record) -> None:
            for name in COLUMNS[1:]:
                if (value := record[name]) is not None:
                    writers[member].add_scalar(name, value, record["epoch"])

        yield draw


def chosen_epoch(history: Sequence[Record], rule: EpochRule) -> int:
    """The epoch, from 1, that the rule picks.

    "last", or the best SRCC on the validation ("best_val") or test part ("best_test"; optimistic).
    The earlier of equals; an undefined SRCC is worse than any.
    """
    if rule == "last":
        return len(history)
    column = {"best_val": "val_srcc", "best_test": "test_srcc"}[rule]
    values = [-np.inf if (value := r[column]) is None else value for r in history]
    return int(np.argmax(values)) + 1
