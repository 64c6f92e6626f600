"""Extractions in processes of their own that are killed, and resume when they are started again."""

import multiprocessing
import random
import signal
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from a2inet_jax.features.extract import extract_all
from tests.clips import Clips
from tests.extraction_inputs import extractor
from tests.features.test_extract import CLIP_NAMES, content, videos

KILLS = 50

# Processes are forks of one that has imported what is slow to import, and has not computed anything.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["pytest", "a2inet_jax.features.extract", "a2inet_jax.backbones.registry"]
)


def extract(clips: Path, folder: Path, sender: Connection) -> None:
    """Extract, and send a message once the store has been scanned, after each video and at the end."""
    work = extract_all(
        videos(Clips(clips), *CLIP_NAMES),
        extractor(),
        folder,
        lambda name, done, total: sender.send(f"{done} {name}"),
        num_decoders=2,
    )
    sender.send(f"{len(work.failures)} failed")


def start(clips: Path, folder: Path) -> tuple[BaseProcess, Connection]:
    receiver, sender = SERVER.Pipe(duplex=False)
    child = SERVER.Process(target=extract, args=(clips, folder, sender))
    child.start()
    sender.close()  # so that its end is seen
    return child, receiver


def finish(clips: Path, store: Path) -> float:
    """Return the duration of an extraction in seconds, without its start and the scan of the store."""
    child, receiver = start(clips, store)
    receiver.recv()
    start_s = time.monotonic()
    while not (message := receiver.recv()).endswith("failed"):
        pass
    assert message == "0 failed"
    child.join()
    assert child.exitcode == 0
    return time.monotonic() - start_s


@pytest.mark.slow
def test_kills_at_random_moments_leave_no_file_lost_or_incomplete(tmp_path: Path) -> None:
    clips, folder = tmp_path / "clips", tmp_path / "store"
    maker = Clips(clips)
    for name in CLIP_NAMES:
        maker[name]
    finish(clips, tmp_path / "first")  # it compiles what the others find compiled
    duration = finish(clips, tmp_path / "whole")
    expected = content(tmp_path / "whole")
    assert len(expected) == 2 * len(CLIP_NAMES)
    rng = random.Random(0)
    interrupted = 0
    for _ in range(KILLS):
        # So that there are both videos to extract and files to leave alone.
        for path in folder.rglob("*.safetensors"):
            if rng.random() < 0.6:
                path.unlink()
        child, receiver = start(clips, folder)
        with receiver:
            receiver.recv()  # the store has been scanned
            time.sleep(rng.uniform(0, 0.8 * duration))
            child.kill()
            child.join()
        interrupted += child.exitcode == -signal.SIGKILL
        for path in folder.rglob("*.safetensors"):
            assert path.read_bytes() == expected[str(path.relative_to(folder))]
    assert interrupted >= KILLS / 2
    finish(clips, folder)
    assert content(folder) == expected  # and no other file
