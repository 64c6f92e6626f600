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

from a2inet_jax.video import worker
from a2inet_jax.video.reader import Reader
from tests.clips import Clips

# Prints the id of its decoding process after the first chunk, then reads all others or none.
PROGRAM = """
import sys, time, numpy as np
from pathlib import Path
from a2inet_jax.video.raw import RawFormat
from a2inet_jax.video import worker
from a2inet_jax.video.reader import Reader
path, frames, read_all, raw = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "all", None
if path.suffix == ".yuv":
    raw = RawFormat(640, 480)
reader = Reader()
reader.open(path, raw)
if frames:
    chunks = reader.read(path, np.arange(frames), chunk=8, raw=raw)
    next(chunks)
print(reader.pid, flush=True)
if read_all:
    for _ in chunks: pass
time.sleep(60)
"""


def running_processes(group: int) -> dict[int, str]:
    """Return ids and states of the processes of a group, without zombies."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, process_group = stat.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(process_group) == group and state != "Z":
            found[int(stat.parent.name)] = state
    return found


def check_all_end(group: int) -> None:
    deadline = time.monotonic() + 5
    while running_processes(group) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running_processes(group)


def start(path: Path, frames: int, mode: str, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path), f"{frames}", mode],
        stdout=subprocess.PIPE,
        env={**os.environ, **environment},
    )


def raw_video(path: Path, frames: int) -> Path:
    with path.open("wb") as file:
        file.truncate(640 * 480 * 3 // 2 * frames)
    return path


@pytest.mark.parametrize(
    ("name", "frames"),
    [("transport.ts", 0), ("video.yuv", 300), ("hd_long.mp4", 104)],
    ids=["idle, with a copy", "sending, raw", "sending, from ffmpeg"],
)
def test_worker_ends_when_the_reader_is_killed(
    clips: Clips, tmp_path: Path, name: str, frames: int
) -> None:
    path = raw_video(tmp_path / name, frames) if name == "video.yuv" else clips[name]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with start(path, frames, "one", TMPDIR=str(scratch)) as program:
        assert program.stdout is not None
        group = int(program.stdout.readline())
        time.sleep(0.3)
        assert running_processes(group)
        program.send_signal(signal.SIGKILL)
    check_all_end(group)
    assert not list(scratch.iterdir())


def test_worker_ends_even_if_ffmpeg_hangs(tmp_path: Path) -> None:
    with start(raw_video(tmp_path / "video.yuv", 50_000), 50_000, "all") as program:
        assert program.stdout is not None
        group = int(program.stdout.readline())
        (decoder,) = set(running_processes(group)) - {group}
        os.kill(decoder, signal.SIGSTOP)
        time.sleep(0.3)
        program.send_signal(signal.SIGKILL)
    check_all_end(group)


def memory_mib(group: int) -> int:
    """Return the resident memory of the processes of a group."""
    pages = 0
    for process in running_processes(group):
        with contextlib.suppress(FileNotFoundError):
            pages += int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


def test_memory_stays_flat_when_frames_are_read_slowly(clips: Clips) -> None:
    path = clips["hd_long.mp4"]
    used_mib = []
    with Reader() as reader:
        assert reader.open(path).num_frames == 104
        for chunk_index, _ in enumerate(reader.read(path, np.arange(104), chunk=4)):
            # 40 frames per second, half as many as can be decoded.
            time.sleep(0.1)
            assert reader.pid is not None
            if chunk_index >= 6:
                used_mib.append(memory_mib(reader.pid))
    # All frames take 617 MiB.
    assert max(used_mib) < 400
    assert max(used_mib[10:]) - max(used_mib[:5]) < 60


def test_only_usable_cores_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2, 5})
    assert worker.num_cpus() == 3
    # As on macOS.
    monkeypatch.delattr(os, "sched_getaffinity")
    for known, expected in ((8, 8), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda known=known: known)
        assert worker.num_cpus() == expected


@pytest.fixture
def served_socket() -> Iterator[socket.socket]:
    """Yield the reader's side of a worker that runs in a thread of this process."""
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


def test_worker_survives_a_failing_disk(
    served_socket: socket.socket, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = {"path": str(clips["h264.mp4"]), "raw": None, "indices": None}
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise OSError(5, "Input/output error")

        patch.setattr(worker, "_open", fail)
        worker.send(served_socket, request)
        header, _ = worker.receive(served_socket, 10)
        assert "Input/output error" in header["error"]
    worker.send(served_socket, request)
    header, timestamps = worker.receive(served_socket, 10)
    assert header["height"] == 80
    assert timestamps is not None
    assert len(timestamps) == 25
