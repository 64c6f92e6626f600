import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from a2inet_jax.video import channel, worker
from a2inet_jax.video.reader import Reader
from tests.clips import Clips, ffmpeg

# A program that tells its decoding process's id when it has a first chunk; it takes the others, or waits.
PROGRAM = """
import sys, time, numpy as np
from pathlib import Path
from a2inet_jax.video.raw_format import RawFormat
from a2inet_jax.video import channel, worker
from a2inet_jax.video.reader import Reader
path, frames, takes_all, raw = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "all", None
if path.suffix == ".yuv":
    raw = RawFormat(640, 480)
reader = Reader()
reader.open(path, raw)
if frames:
    chunks = reader.read(path, np.arange(frames), chunk=8, raw=raw)
    next(chunks)
print(reader.pid, flush=True)
if takes_all:
    for _ in chunks: pass
time.sleep(60)
"""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    return Clips(tmp_path_factory.getbasetemp() / "clips")


def members(group: int) -> dict[int, str]:
    """Processes of this group and their states, but for those that nobody waits for."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_group) == group and state != "Z":
            found[int(stat.parent.name)] = state
    return found


def check_all_end(group: int) -> None:
    deadline = time.monotonic() + 5
    while members(group) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not members(group)


def start(path: Path, frames: int, taken: str, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path), f"{frames}", taken],
        stdout=subprocess.PIPE,
        env={**os.environ, **environment},
    )


def raw_video(path: Path, frames: int) -> Path:
    with path.open("wb") as file:
        file.truncate(640 * 480 * 3 // 2 * frames)
    return path


@pytest.mark.parametrize(
    ("name", "frames"),
    [("transport.ts", 0), ("video.yuv", 300), ("uhd4k.mp4", 30)],
    ids=["waiting, with a copy", "sending, raw", "sending, from ffmpeg"],
)
def test_it_ends_with_a_reader_that_was_killed(
    clips: Clips, tmp_path: Path, name: str, frames: int
) -> None:
    path = raw_video(tmp_path / name, frames) if name == "video.yuv" else clips[name]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with start(path, frames, "one", TMPDIR=str(scratch)) as program:
        assert program.stdout is not None
        group = int(program.stdout.readline())
        time.sleep(0.3)
        assert members(group)
        program.send_signal(signal.SIGKILL)
    check_all_end(group)
    assert not list(scratch.iterdir())


def test_it_ends_though_its_ffmpeg_hangs(tmp_path: Path) -> None:
    with start(raw_video(tmp_path / "video.yuv", 50_000), 50_000, "all") as program:
        assert program.stdout is not None
        group = int(program.stdout.readline())
        (decoder,) = set(members(group)) - {group}
        os.kill(decoder, signal.SIGSTOP)
        time.sleep(0.3)
        program.send_signal(signal.SIGKILL)
    check_all_end(group)


def memory(group: int) -> int:
    """Memory in use by the processes of this group, MiB."""
    pages = 0
    for process in members(group):
        with contextlib.suppress(FileNotFoundError):
            pages += int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


def test_memory_stays_flat_when_frames_are_taken_slowly(clips: Clips, tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    ffmpeg("-stream_loop", "1", "-i", str(clips["uhd4k.mp4"]), "-c", "copy", str(path))
    used = []
    with Reader() as reader:
        assert reader.open(path).frames == 60
        for number, _ in enumerate(reader.read(path, np.arange(60), chunk=2)):
            # 20 frames a second; decoding gives twice as many.
            time.sleep(0.1)
            assert reader.pid is not None
            if number >= 10:
                used.append(memory(reader.pid))
    assert max(used) < 1000
    assert max(used[10:]) - max(used[:5]) < 60


@pytest.fixture
def served() -> Iterator[socket.socket]:
    """The reader's side of a worker in a thread of this process."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with contextlib.suppress(EOFError):
            worker.serve(theirs)

    thread = threading.Thread(target=serve)
    thread.start()
    with theirs, ours:
        yield ours
        ours.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    assert not thread.is_alive()


def test_a_disk_that_fails_does_not_end_it(
    served: socket.socket, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = {"path": str(clips["h264.mp4"]), "raw": None, "indices": None}
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise OSError(5, "Input/output error")

        patch.setattr(worker, "_open", fail)
        channel.send(served, request)
        header, _ = channel.receive(served, 10)
        assert "Input/output error" in header["error"]
    channel.send(served, request)
    header, timestamps = channel.receive(served, 10)
    assert header["height"] == 80
    assert timestamps is not None
    assert len(timestamps) == 25
