"""One of two processes that train together; `test_processes.py` starts it and checks its results."""

import dataclasses
import os
import pickle
import signal
import sys
from pathlib import Path
from typing import Any

import jax

from a2inet_jax import processes
from a2inet_jax.config import Placement, Train
from a2inet_jax.datasets.splits import Split
from a2inet_jax.training import loop
from a2inet_jax.training.data import TrainingData, Video
from a2inet_jax.training.loop import Callbacks
from a2inet_jax.training.members import Member
from a2inet_jax.training.runtime import TerminatedError
from tests.training_inputs import MeanPooling, make_data, predict_tests

DEVICES = 4  # of each process
DATA = make_data(videos=41)
# They share no video and differ in size.
SPLITS = [
    Split(DATA.ids[:13], DATA.ids[13:17], DATA.ids[17:20]),
    Split(DATA.ids[20:31], DATA.ids[31:36], DATA.ids[36:]),
]
# Two members get one process each; with three, all devices split every batch.
MEMBERS = {
    "two": [Member(n, 0, split) for n, split in enumerate(SPLITS)],
    "three": [Member(0, 0, SPLITS[0]), Member(0, 1, SPLITS[0]), Member(1, 0, SPLITS[1])],
}
CONFIG = Train(learning_rate=1e-2, epochs=3, checkpoint_epochs=2, num_buckets=2, steps_per_call=3)
# No multiple of the 4 and 8 devices; the last batches leave some devices with nothing but empty slots.
BATCH_SIZE = {"two": 7, "three": 5}
EXAMPLES: tuple[tuple[str, Placement], ...] = (
    ("two", "resident"),
    ("two", "streamed"),
    ("three", "streamed"),
)
ONE_STEP_CALLS = Train(
    learning_rate=1e-2,
    batch_size=5,
    epochs=8,
    checkpoint_epochs=3,
    steps_per_call=1,
    parallel="mesh",
    placement="streamed",
)
STEPS = 8 * 3


def train(
    members_name: str, config: Train, folder: Path, data: TrainingData = DATA, **callbacks: Any
) -> dict[str, Any]:
    """Train and predict; return what can be compared with another process's results."""
    model, members = MeanPooling(), MEMBERS[members_name]
    trained = loop.train(model, data, members, config, folder, Callbacks(**callbacks))
    result = {name: [getattr(x, name) for x in trained] for name in ("params", "epoch", "history")}
    return result | {"scores": predict_tests(model, data, members, trained, config)}


def examples(folder: Path) -> dict[Any, Any]:
    """Train each of `EXAMPLES`; also return the videos that this process has read for it."""
    results = {}
    for members_name, placement in EXAMPLES:
        read: set[int] = set()

        def recorded(n: int, read: set[int] = read) -> Video:
            read.add(n)
            return DATA.read(n)

        config = dataclasses.replace(
            CONFIG, parallel="mesh", placement=placement, batch_size=BATCH_SIZE[members_name]
        )
        data = dataclasses.replace(DATA, read=recorded)
        result = train(members_name, config, folder / f"{members_name}_{placement}", data)
        results[members_name, placement] = result | {"read": read}
    return results


def uninterrupted(folder: Path) -> dict[str, Any]:
    """Train, or resume the run in the folder; also return the reported steps."""
    reported: list[int] = []
    result = train(
        "two", ONE_STEP_CALLS, folder, advance=lambda _, done, total: reported.append(done)
    )
    return result | {"reported": reported}


def damaged(folder: Path) -> dict[str, Any]:
    """Damage the last checkpoint of the run in the folder, and resume it."""
    if jax.process_index() == 0:
        for path in folder.glob(f"checkpoints/*/{STEPS}/state/**/d/*"):
            path.write_bytes(b"damaged")
    return uninterrupted(folder)


def terminated(folder: Path) -> list[int]:
    """Train, and send SIGTERM to the second process at the step that the folder is named after."""
    reported: list[int] = []

    def advance(_: str, done: int, total: int) -> None:
        reported.append(done)
        if done == int(folder.name) and jax.process_index() == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    try:
        train("two", ONE_STEP_CALLS, folder, advance=advance)
    except TerminatedError:
        return reported
    raise AssertionError("it trained to the end")


def fails(folder: Path) -> None:
    """Train, and fail in the first process at its second step."""

    def advance(_: str, done: int, total: int) -> None:
        if done == 2 and jax.process_index() == 0:
            raise RuntimeError("the first process has an error")

    train("two", ONE_STEP_CALLS, folder, advance=advance)


JOBS = {job.__name__: job for job in (examples, uninterrupted, damaged, terminated, fails)}


def main(process: int, port: int, folder: Path, *jobs: str) -> None:
    """Run jobs, given as `NAME=FOLDER`, and write their results to `<process>.pickle`."""
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", DEVICES)
    with processes.joined_processes(f"127.0.0.1:{port}", 2, process):
        results = {}
        for job in jobs:
            name, _, subfolder = job.partition("=")
            results[job] = JOBS[name](folder / subfolder)
        (folder / f"{process}.pickle").write_bytes(pickle.dumps(results))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:])
