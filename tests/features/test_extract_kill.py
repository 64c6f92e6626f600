"""Extractions in processes of their own that are killed, and resume when they are started again."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.clips import Clips
from tests.features.test_extract import CLIP_NAMES, content

KILLS = 50

SCRIPT = """
import sys
from pathlib import Path
from a2inet_jax.features.extract import extract_all
from tests.clips import Clips
from tests.extraction_inputs import extractor
from tests.features.test_extract import CLIP_NAMES, videos

folder = Path(sys.argv[2])
all_videos = videos(Clips(Path(sys.argv[1])), *CLIP_NAMES)
show = lambda name, done, total: print(done, name, flush=True)
print(len(extract_all(all_videos, extractor(), folder, show, num_decoders=2).failures), "failed")
"""


def start(clips: Path, store: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", SCRIPT, str(clips), str(store)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def finish(clips: Path, store: Path) -> float:
    """Return the duration of an extraction in seconds, without its start and the scan of the store."""
    with start(clips, store) as child:
        assert child.stdout is not None
        child.stdout.readline()
        start_s = time.monotonic()
        assert child.stdout.read().endswith("0 failed\n")
    return time.monotonic() - start_s


@pytest.mark.slow
def test_kills_at_random_moments_leave_no_file_lost_or_incomplete(tmp_path: Path) -> None:
    clips, folder = tmp_path / "clips", tmp_path / "store"
    maker = Clips(clips)
    for name in CLIP_NAMES:
        maker[name]
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
        with start(clips, folder) as child:
            assert child.stdout is not None
            child.stdout.readline()  # the store has been scanned
            time.sleep(rng.uniform(0, 0.8 * duration))
            child.send_signal(signal.SIGKILL)
        interrupted += child.wait() == -signal.SIGKILL
        for path in folder.rglob("*.safetensors"):
            assert path.read_bytes() == expected[str(path.relative_to(folder))]
    assert interrupted >= KILLS / 2
    finish(clips, folder)
    assert content(folder) == expected  # and no other file
