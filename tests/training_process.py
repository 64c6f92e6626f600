"""One of two processes that train together; `test_processes.py` starts it and looks at what it leaves."""

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
from a2inet_jax.training.predict import predict
from a2inet_jax.training.termination import TerminatedError
from tests.training_inputs import MeanPooling, make_features

DEVICES = 4  # of each process
FEATURES = make_features(videos=41)
SPLITS = [  # they share no video and differ in size
    Split(FEATURES.ids[:13], FEATURES.ids[13:17], FEATURES.ids[17:20]),
    Split(FEATURES.ids[20:31], FEATURES.ids[31:36], FEATURES.ids[36:]),
]
# Two members are one for each process; three have all devices split every batch.
MEMBERS = {
    "two": [Member(number, 0, split) for number, split in enumerate(SPLITS)],
    "three": [Member(0, 0, SPLITS[0]), Member(0, 1, SPLITS[0]), Member(1, 0, SPLITS[1])],
}
SETTINGS = Train(learning_rate=1e-2, epochs=3, checkpoint_epochs=2, num_buckets=2, steps_per_call=3)
# No multiple of the 4 and 8 devices; the last batches leave devices with nothing but filling.
BATCH_SIZE = {"two": 7, "three": 5}
CASES: tuple[tuple[str, Placement], ...] = (
    ("two", "resident"),
    ("two", "streamed"),
    ("three", "streamed"),
)
MANY = Train(
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
    number: str, settings: Train, folder: Path, features: TrainingData = FEATURES, **watch: Any
) -> dict[str, Any]:
    """Trains and predicts; gives what can be compared with another process's."""
    model, members = MeanPooling(), MEMBERS[number]
    trained = loop.train(model, features, members, settings, folder, Callbacks(**watch))
    found = {name: [getattr(x, name) for x in trained] for name in ("params", "epoch", "history")}
    return found | {"scores": predict(model, features, members, trained, settings)}


def cases(folder: Path) -> dict[Any, Any]:
    """Trainings, and which videos this process read for each."""
    found = {}
    for number, placement in CASES:
        read: set[int] = set()

        def reader(n: int, read: set[int] = read) -> Video:
            read.add(n)
            return FEATURES.read(n)

        settings = dataclasses.replace(
            SETTINGS, parallel="mesh", placement=placement, batch_size=BATCH_SIZE[number]
        )
        features = dataclasses.replace(FEATURES, read=reader)
        result = train(number, settings, folder / f"{number}_{placement}", features)
        found[number, placement] = result | {"read": read}
    return found


def whole(folder: Path) -> dict[str, Any]:
    """A training, with the steps that were told."""
    told: list[int] = []
    result = train("two", MANY, folder, advance=lambda _, done, total: told.append(done))
    return result | {"told": told}


def damaged(folder: Path) -> dict[str, Any]:
    """The training that lies there, when its last checkpoint has been damaged."""
    if jax.process_index() == 0:
        for path in folder.glob(f"checkpoints/*/{STEPS}/state/**/d/*"):
            path.write_bytes(b"damaged")
    return whole(folder)


def terminated(folder: Path) -> list[int]:
    """A training of which only the second process gets SIGTERM, at the step that the folder is named by."""
    told: list[int] = []

    def advance(_: str, done: int, total: int) -> None:
        told.append(done)
        if done == int(folder.name) and jax.process_index() == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    try:
        train("two", MANY, folder, advance=advance)
    except TerminatedError:
        return told
    raise AssertionError("it went on to the end")


def fails(folder: Path) -> None:
    """A training in which the first process has an error at its tenth step."""

    def advance(_: str, done: int, total: int) -> None:
        if done == 10 and jax.process_index() == 0:
            raise RuntimeError("the first process has an error")

    train("two", MANY, folder, advance=advance)


JOBS = {job.__name__: job for job in (cases, whole, damaged, terminated, fails)}


def main(process: int, port: int, folder: Path, *jobs: str) -> None:
    """Does jobs, `NAME=FOLDER` each; leaves what they give in `<process>.pickle`."""
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", DEVICES)
    with processes.joined(f"127.0.0.1:{port}", 2, process):
        found = {}
        for job in jobs:
            name, _, where = job.partition("=")
            found[job] = JOBS[name](folder / where)
        (folder / f"{process}.pickle").write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:])
