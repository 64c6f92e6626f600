"""Runs that are killed or terminated, and resume when they are started again."""

import dataclasses
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
from a2inet_jax.training.runtime import TerminatedError
from tests.training_inputs import MeanPooling, assert_same, make_data, make_members

DATA = make_data()
STEPS_PER_EPOCH = 4
SILENT = Callbacks()
# One call per step, so that a stop can come in the middle of an epoch.
CONFIG = Train(learning_rate=3e-2, batch_size=4, epochs=60, checkpoint_epochs=3, steps_per_call=1)


def train(folder: Path, placement: Placement, callbacks: Callbacks = SILENT) -> list[TrainedMember]:
    config = dataclasses.replace(CONFIG, placement=placement)
    return loop.train(MeanPooling(), DATA, make_members(DATA), config, folder, callbacks)


SCRIPT = """
import sys, time
from pathlib import Path
from a2inet_jax.training.loop import Callbacks
from a2inet_jax.training.runtime import TerminatedError
from tests.training import test_kill

def advance(text, done, total):
    print(done, flush=True)
    time.sleep(0.002)

try:
    test_kill.train(Path(sys.argv[1]), sys.argv[2], Callbacks(advance))
except TerminatedError:
    sys.exit(143)
"""


def start(folder: Path, placement: Placement) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", SCRIPT, str(folder), placement]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def stop_at(
    folder: Path,
    placement: Placement,
    step: int,
    stop_signal: signal.Signals,
    delay_s: float = 0.0,
) -> int:
    """Start a run and signal it some time after a step; return the step that it started from."""
    with start(folder, placement) as child:
        assert child.stdout is not None
        try:
            first = int(child.stdout.readline())
            while int(child.stdout.readline()) < step:
                pass
            time.sleep(delay_s)
            child.send_signal(stop_signal)
            child.stdout.read()
        finally:
            child.kill()
    assert child.wait() == (143 if stop_signal == signal.SIGTERM else -stop_signal)
    return first


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[TrainedMember]]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    return folder, train(folder, "resident")


@pytest.mark.parametrize("placement", ["resident", "streamed"])
def test_training_resumes_after_sigkill_at_any_moment(
    uninterrupted: tuple[Path, list[TrainedMember]], tmp_path: Path, placement: Placement
) -> None:
    random = np.random.default_rng(0)
    first = stop_at(tmp_path, placement, 30, signal.SIGKILL, random.uniform(0, 0.05))
    second = stop_at(tmp_path, placement, 120, signal.SIGKILL, random.uniform(0, 0.05))
    for line in (tmp_path / "history.csv").read_text().splitlines():
        assert line.count(",") == len(history.COLUMNS) + 1
    reported: list[int] = []
    callbacks = Callbacks(lambda text, done, total: reported.append(done))
    resumed = train(tmp_path, placement, callbacks)
    assert first == 0
    assert 0 < second < reported[0] < 60 * STEPS_PER_EPOCH
    assert_same(resumed, uninterrupted[1])
    tables = [folder / "history.csv" for folder in (tmp_path, uninterrupted[0])]
    assert tables[0].read_bytes() == tables[1].read_bytes()
    assert not list((tmp_path / "checkpoints").rglob("*tmp*"))


@pytest.mark.parametrize("placement", ["resident", "streamed"])
def test_sigterm_saves_a_checkpoint_in_the_middle_of_an_epoch(
    tmp_path: Path, placement: Placement
) -> None:
    # Epochs of ten steps, in chunks of four, four and two, and videos of several lengths.
    data = make_data(videos=40, longest=30)
    members = make_members(data, (30, 22), 4)
    config = Train(
        learning_rate=3e-2, batch_size=3, epochs=4, steps_per_call=4, placement=placement
    )

    def run(folder: Path, stop: int = -1) -> tuple[list[TrainedMember], list[int]]:
        reported: list[int] = []

        def advance(text: str, done: int, total: int) -> None:
            reported.append(done)
            if done == stop:
                signal.raise_signal(signal.SIGTERM)

        trained = loop.train(MeanPooling(), data, members, config, folder, Callbacks(advance))
        return trained, reported

    whole, _ = run(tmp_path / "whole")
    # Step 14 is reported while steps 15 to 18 run; the run stops after them.
    with pytest.raises(TerminatedError):
        run(tmp_path / "stopped", stop=14)
    resumed, reported = run(tmp_path / "stopped")
    assert reported[0] == 18
    assert_same(resumed, whole)
    tables = [(tmp_path / name / "history.csv").read_bytes() for name in ("whole", "stopped")]
    assert tables[0] == tables[1]
    # The process is as it was: another run in it is not stopped.
    assert_same(run(tmp_path / "another")[0], whole)


def test_sigterm_ends_a_process_with_exit_code_143(
    uninterrupted: tuple[Path, list[TrainedMember]], tmp_path: Path
) -> None:
    stop_at(tmp_path, "resident", 12 * 3 + 2, signal.SIGTERM)
    reported: list[int] = []
    callbacks = Callbacks(lambda text, done, total: reported.append(done))
    resumed = train(tmp_path, "resident", callbacks)
    assert reported[0] >= 12 * 3 + 2
    assert_same(resumed, uninterrupted[1])
