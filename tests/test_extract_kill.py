"""Extractions in processes of their own that are killed, and go on when they are started again."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from a2inet_jax.features.store import Store
from tests.clips import Clips
from tests.extraction_inputs import extractor
from tests.test_extract import SEVERAL, content

KILLS = 50

SCRIPT = """
import sys
from pathlib import Path
from a2inet_jax.features.extract import extract_all
from a2inet_jax.features.store import Store
from tests.clips import Clips
from tests.extraction_inputs import extractor
from tests.test_extract import SEVERAL, videos

extract = extractor()
store = Store(Path(sys.argv[2]), extract.recipe)
every = videos(Clips(Path(sys.argv[1])), *SEVERAL)
tell = lambda name, done, total: print(done, name, flush=True)
print(len(extract_all(every, extract, store, tell, decoders=2).failures), "failed")
"""


def start(clips: Path, store: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", SCRIPT, str(clips), str(store)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def finish(clips: Path, store: Path) -> float:
    """Seconds that the work took, once the store was looked at."""
    with start(clips, store) as child:
        assert child.stdout is not None
        child.stdout.readline()
        begin = time.monotonic()
        assert child.stdout.read().endswith("0 failed\n")
    return time.monotonic() - begin


@pytest.mark.slow
def test_killed_at_any_moment_nothing_is_lost_or_half_there(tmp_path: Path) -> None:
    clips, folder = tmp_path / "clips", tmp_path / "store"
    made = Clips(clips)
    for name in SEVERAL:
        made[name]
    duration = finish(clips, tmp_path / "whole")
    store = Store(folder, extractor().recipe)
    expected = content(Store(tmp_path / "whole", store.recipe))
    assert len(expected) == len(SEVERAL)
    draw = random.Random(0)
    interrupted = 0
    for _ in range(KILLS):
        # There is always something to do, and something to leave alone.
        for path in store.folder.glob("*.safetensors"):
            if draw.random() < 0.6:
                path.unlink()
        with start(clips, folder) as child:
            assert child.stdout is not None
            child.stdout.readline()  # it has looked at the store
            time.sleep(draw.uniform(0, 0.8 * duration))
            child.send_signal(signal.SIGKILL)
        interrupted += child.wait() == -signal.SIGKILL
        for path in store.folder.glob("*.safetensors"):
            assert path.read_bytes() == expected[path.name]
    assert interrupted >= KILLS / 2
    finish(clips, folder)
    assert content(store) == expected  # and not a file more
