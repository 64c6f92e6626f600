"""Trainings in processes of their own that are killed, and go on when they are started again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from a2inet_jax.config import Placement, Train
from a2inet_jax.training import history, loop
from a2inet_jax.training.loop import Callbacks
from a2inet_jax.training.members import TrainedMember
from a2inet_jax.training.termination import TerminatedError
from tests.training_inputs import MeanPooling, assert_same, make_features, make_members

FEATURES = make_features()
STEPS = 4
SILENT = Callbacks()
# A call for each step, so that a stop can come in the middle of an epoch.
SETTINGS = Train(learning_rate=3e-2, batch_size=4, epochs=60, checkpoint_epochs=3, steps_per_call=1)


def train(folder: Path, placement: Placement, watch: Callbacks = SILENT) -> list[TrainedMember]:
    settings = Train(**{**vars(SETTINGS), "placement": placement})
    return loop.train(MeanPooling(), FEATURES, make_members(FEATURES), settings, folder, watch)


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
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[TrainedMember]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, train(folder, "resident")


@pytest.mark.parametrize("placement", ["resident", "streamed"])
def test_sigkill_at_any_moment_loses_nothing(
    undisturbed: tuple[Path, list[TrainedMember]], tmp_path: Path, placement: Placement
) -> None:
    random = np.random.default_rng(0)
    first = stop_at(tmp_path, placement, 30, signal.SIGKILL, random.uniform(0, 0.05))
    second = stop_at(tmp_path, placement, 120, signal.SIGKILL, random.uniform(0, 0.05))
    for line in (tmp_path / "metrics.csv").read_text().splitlines():
        assert line.count(",") == len(history.COLUMNS) + 1
    told: list[int] = []
    resumed = train(tmp_path, placement, Callbacks(lambda text, done, total: told.append(done)))
    assert first == 0
    assert 0 < second < told[0] < 60 * STEPS
    assert_same(resumed, undisturbed[1])
    assert (tmp_path / "metrics.csv").read_bytes() == (undisturbed[0] / "metrics.csv").read_bytes()
    assert not list((tmp_path / "checkpoints").rglob("*tmp*"))


@pytest.mark.parametrize("placement", ["resident", "streamed"])
def test_sigterm_saves_in_the_middle_of_an_epoch(tmp_path: Path, placement: Placement) -> None:
    # Epochs of ten steps, in calls of four, four and two, and videos of several lengths.
    features = make_features(videos=40, longest=30)
    members = make_members(features, (30, 22), 4)
    settings = Train(
        learning_rate=3e-2, batch_size=3, epochs=4, steps_per_call=4, placement=placement
    )

    def run(folder: Path, stop: int = -1) -> tuple[list[TrainedMember], list[int]]:
        told: list[int] = []

        def advance(text: str, done: int, total: int) -> None:
            told.append(done)
            if done == stop:
                signal.raise_signal(signal.SIGTERM)

        return loop.train(
            MeanPooling(), features, members, settings, folder, Callbacks(advance)
        ), told

    whole, _ = run(tmp_path / "whole")
    # Told of step 14 while steps 15 to 18 run; then it stops.
    with pytest.raises(TerminatedError):
        run(tmp_path / "stopped", stop=14)
    resumed, told = run(tmp_path / "stopped")
    assert told[0] == 18
    assert_same(resumed, whole)
    tables = [(tmp_path / name / "metrics.csv").read_bytes() for name in ("whole", "stopped")]
    assert tables[0] == tables[1]
    # The process goes on as it was: another training is not stopped.
    assert_same(run(tmp_path / "another")[0], whole)


def test_sigterm_ends_a_process_with_its_code(
    undisturbed: tuple[Path, list[TrainedMember]], tmp_path: Path
) -> None:
    stop_at(tmp_path, "resident", 12 * 3 + 2, signal.SIGTERM)
    told: list[int] = []
    resumed = train(tmp_path, "resident", Callbacks(lambda text, done, total: told.append(done)))
    assert told[0] >= 12 * 3 + 2
    assert_same(resumed, undisturbed[1])
