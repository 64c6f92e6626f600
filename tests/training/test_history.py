"""Correlations, the table of epochs and the epoch rules."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from a2inet_jax.config import EpochRule
from a2inet_jax.training import history
from a2inet_jax.training.history import Record


def record(epoch: int, val: float | None = 0.5, test: float | None = 0.25) -> Record:
    return {
        "epoch": epoch,
        "train_loss": 1 / epoch,
        "mae": 0.1,
        "rank": 1e-17,
        "val_srcc": val,
        "val_plcc": val,
        "test_srcc": test,
        "test_plcc": test,
    }


def test_correlations_agree_with_scipy() -> None:
    random = np.random.default_rng(0)
    score, label = random.integers(0, 6, 30).astype(float), random.random(30)
    srcc, plcc = history.correlations(score, label)
    assert srcc == pytest.approx(stats.spearmanr(score, label).statistic, abs=1e-12)
    assert plcc == pytest.approx(stats.pearsonr(score, label).statistic, abs=1e-12)


@pytest.mark.parametrize("score", [[], [1.0], [2.0, 2.0, 2.0]])
def test_undefined_correlations_are_none(score: list[float]) -> None:
    label = np.arange(len(score), dtype=float)
    assert history.correlations(np.array(score), label) == (None, None)


@pytest.mark.parametrize(("rule", "epoch"), [("last", 4), ("best_val", 2), ("best_test", 3)])
def test_selected_epoch(rule: EpochRule, epoch: int) -> None:
    records = [
        record(1, None, 0.1),
        record(2, 0.6, None),
        record(3, 0.6, 0.9),
        record(4, 0.2, 0.9),
    ]
    assert history.select_epoch(records, rule) == epoch


def test_first_epoch_is_selected_if_all_are_undefined() -> None:
    assert history.select_epoch([record(1, None), record(2, None)], "best_val") == 1


def test_table_keeps_other_members_and_drops_later_epochs(tmp_path: Path) -> None:
    path = tmp_path / "model" / "history.csv"
    history.write(path.parent, {("", 10, 0): [record(1)], ("", 2, 1): [record(1)]})
    history.write(path.parent, {("", 2, 0): [record(1), record(2, None), record(3)]})
    history.write(path.parent, {("", 2, 0): [record(1), record(2, None)]})
    lines = path.read_text().splitlines()
    assert lines[0].split(",") == ["split", "seed", *history.COLUMNS]
    assert [line.split(",")[:3] for line in lines[1:]] == [
        ["2", "0", "1"],
        ["2", "0", "2"],
        ["2", "1", "1"],
        ["10", "0", "1"],
    ]
    assert lines[2].split(",")[6:8] == ["", ""]
    assert float(lines[1].split(",")[5]) == 1e-17  # written with all digits
    assert [p.name for p in path.parent.iterdir()] == ["history.csv"]
