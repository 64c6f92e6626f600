"""One of two processes that train together; `test_processes.py` starts it and looks at what it leaves."""

import dataclasses
import os
import pickle
import signal
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from a2inet_jax import processes
from a2inet_jax.datasets.splits import Split
from a2inet_jax.training import loop
from a2inet_jax.training.features import Features, Video
from a2inet_jax.training.loop import Trained, Watch
from a2inet_jax.training.prediction import predict
from a2inet_jax.training.replica import Replica
from a2inet_jax.training.settings import Settings
from a2inet_jax.training.termination import TerminatedError
from tests.training_inputs import MeanPooling, make_features

DEVICES = 4  # of each process
FEATURES = make_features(videos=41)
# Two splits that share no video and differ in size; with three replicas the mesh has no axis of splits.
SPLITS = [
    Split(FEATURES.ids[:13], FEATURES.ids[13:17], FEATURES.ids[17:20]),
    Split(FEATURES.ids[20:31], FEATURES.ids[31:36], FEATURES.ids[36:]),
]
REPLICAS = {
    "two": [Replica(number, 0, split) for number, split in enumerate(SPLITS)],
    "three": [Replica(0, 0, SPLITS[0]), Replica(0, 1, SPLITS[0]), Replica(1, 0, SPLITS[1])],
}
# 7 is no multiple of the 4 or 8 devices that a batch is split over; 3 leaves some without a video.
SETTINGS = Settings(
    learning_rate=1e-2, batch_size=7, epochs=4, checkpoint_every=2, buckets=2, steps_per_call=3
)
CASES = {
    f"{replicas} {placement} {batch_size}": (replicas, placement, batch_size)
    for replicas in REPLICAS
    for placement in ("resident", "streamed")
    for batch_size in (7, 3)
}
LONG = dataclasses.replace(SETTINGS, epochs=60, placement="streamed", checkpoint_every=7)


def train(
    replicas: str, settings: Settings, folder: Path, features: Features = FEATURES, **watch: Any
) -> dict[str, Any]:
    """Trains and predicts; what can be compared with another process."""
    chosen = REPLICAS[replicas]
    trained = loop.train(MeanPooling(), features, chosen, settings, folder, Watch(**watch))
    return result(chosen, trained, settings, features)


def result(
    replicas: list[Replica], trained: list[Trained], settings: Settings, features: Features
) -> dict[str, Any]:
    scores = predict(MeanPooling(), features, replicas, trained, settings)
    return {
        "params": [each.params for each in trained],
        "epoch": [each.epoch for each in trained],
        "history": [each.history for each in trained],
        "scores": scores,
    }


def _cases(folder: Path) -> Any:
    found = {}
    for name, (replicas, placement, batch_size) in CASES.items():
        read: set[int] = set()

        def reader(n: int, read: set[int] = read) -> Video:
            read.add(n)
            return FEATURES.read(n)

        features = dataclasses.replace(FEATURES, read=reader)
        settings = dataclasses.replace(
            SETTINGS, parallel="mesh", placement=placement, batch_size=batch_size
        )
        found[name] = train(replicas, settings, folder / name, features) | {"read": read}
    return found


def _damaged(folder: Path) -> Any:
    """Trains, damages the last checkpoint and trains again: the one before it is taken up."""
    settings = dataclasses.replace(SETTINGS, parallel="mesh")
    train("two", settings, folder)
    if jax.process_index() == 0:
        (latest,) = folder.glob("checkpoints/*/16")
        for path in latest.glob("state/**/d/*"):
            path.write_bytes(b"damaged")
    told: list[int] = []
    found = train("two", settings, folder, advance=lambda _, done, total: told.append(done))
    return found | {"told": told}


def _long(folder: Path, terminated_at: int | None = None) -> Any:
    """A training in which the second process alone is asked to stop, at a step."""
    told = []

    def advance(_: str, done: int, total: int) -> None:
        told.append(done)
        if terminated_at is not None and done >= terminated_at:
            if done == terminated_at and jax.process_index() == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)  # JAX looks for the signal once a second

    settings = dataclasses.replace(LONG, parallel="mesh")
    try:
        return train("two", settings, folder, advance=advance) | {"told": told}
    except TerminatedError:
        return {"told": told}


def _fails(folder: Path) -> Any:
    """The second process has an error in the middle of training."""

    def advance(_: str, done: int, total: int) -> None:
        if jax.process_index() == 1 and done > 4:
            raise RuntimeError("this process has an error")

    return train("two", dataclasses.replace(LONG, parallel="mesh"), folder, advance=advance)


JOBS = {
    "cases": _cases,
    "damaged": _damaged,
    "long": _long,
    "terminated": lambda folder: _long(folder, 25),
    "fails": _fails,
}


def main(process: int, port: int, folder: Path, *jobs: str) -> None:
    """Does jobs `NAME=FOLDER`; leaves what they give in `<process>.pickle`."""
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", DEVICES)
    with processes.joined(f"127.0.0.1:{port}", 2, process):
        found = {}
        for job in jobs:
            name, _, where = job.partition("=")
            found[name] = JOBS[name](folder / where)
        (folder / f"{process}.pickle").write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:])
