"""Trainings in processes of their own that are killed, and go on when they are started again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from a2inet_jax.training import history, loop
from a2inet_jax.training.loop import Watch
from a2inet_jax.training.replica import Trained
from a2inet_jax.training.settings import Placement, Settings
from tests.test_loop import assert_same
from tests.training_inputs import MeanPooling, make_features, make_replicas

FEATURES = make_features()
STEPS = 4
SILENT = Watch()
# Seven calls of the program make two epochs, so that a stop comes in the middle of one.
SETTINGS = Settings(
    learning_rate=3e-2, batch_size=4, epochs=60, checkpoint_every=3, steps_per_call=1
)


def train(folder: Path, placement: Placement, watch: Watch = SILENT) -> list[Trained]:
    settings = Settings(**{**vars(SETTINGS), "placement": placement})
    return loop.train(MeanPooling(), FEATURES, make_replicas(FEATURES), settings, folder, watch)


SCRIPT = """
import sys, time
from pathlib import Path
from a2inet_jax.training.loop import TerminatedError, Watch
from tests import test_kill

def advance(text, done, total):
    print(done, flush=True)
    time.sleep(0.002)

try:
    test_kill.train(Path(sys.argv[1]), sys.argv[2], Watch(advance))
except TerminatedError:
    sys.exit(143)
"""


def start(folder: Path, placement: Placement) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", SCRIPT, str(folder), placement]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def stop_at(
    folder: Path, placement: Placement, step: int, sign: signal.Signals, later: float = 0.0
) -> int:
    """Starts a training, signals it some time behind a step; gives the step that it began with."""
    with start(folder, placement) as child:
        assert child.stdout is not None
        try:
            first = int(child.stdout.readline())
            while int(child.stdout.readline()) < step:
                pass
            time.sleep(later)
            child.send_signal(sign)
            child.stdout.read()
        finally:
            child.kill()
    assert child.wait() == (143 if sign == signal.SIGTERM else -sign)
    return first


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Trained]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, train(folder, "resident")


@pytest.mark.parametrize("placement", ["resident", "streamed"])
def test_sigkill_at_any_moment_loses_nothing(
    undisturbed: tuple[Path, list[Trained]], tmp_path: Path, placement: Placement
) -> None:
    random = np.random.default_rng(0)
    first = stop_at(tmp_path, placement, 30, signal.SIGKILL, random.uniform(0, 0.05))
    second = stop_at(tmp_path, placement, 120, signal.SIGKILL, random.uniform(0, 0.05))
    for line in (tmp_path / "metrics.csv").read_text().splitlines():
        assert line.count(",") == len(history.COLUMNS) + 1
    told: list[int] = []
    resumed = train(tmp_path, placement, Watch(lambda text, done, total: told.append(done)))
    assert first == 0
    assert 0 < second < told[0] < 60 * STEPS
    assert_same(resumed, undisturbed[1])
    assert (tmp_path / "metrics.csv").read_bytes() == (undisturbed[0] / "metrics.csv").read_bytes()
    assert not list((tmp_path / "checkpoints").rglob("*tmp*"))


def test_sigterm_saves_in_the_middle_of_an_epoch(
    undisturbed: tuple[Path, list[Trained]], tmp_path: Path
) -> None:
    # Behind a checkpoint, and not at the end of an epoch.
    stop_at(tmp_path, "resident", 12 * 3 + 2, signal.SIGTERM)
    told: list[int] = []
    resumed = train(tmp_path, "resident", Watch(lambda text, done, total: told.append(done)))
    assert told[0] >= 12 * 3 + 2
    assert_same(resumed, undisturbed[1])
    assert (tmp_path / "metrics.csv").read_bytes() == (undisturbed[0] / "metrics.csv").read_bytes()
