"""Files that are written whole or not at all, checksums, and the cache folder."""

import errno
import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from a2inet_jax import files
from a2inet_jax.errors import StoreError
from a2inet_jax.features.store import Store
from tests.store_inputs import LONG_RECIPE, RECIPE, assert_equal, features

# Writes the same ids over and over until it is killed, or hangs in the middle of a write.
WRITER = """
import os, sys, time
from pathlib import Path
from a2inet_jax.features.store import Store
from tests.store_inputs import LONG_RECIPE, features
store = Store(Path(sys.argv[1]), LONG_RECIPE)
if sys.argv[2] == "hang":
    os.fsync = lambda _: print("begun", flush=True) or time.sleep(600)
print("ready", flush=True)
for _ in range(10**9):
    for number in range(3):
        store.write(f"v{number}", features(seed=number, frames=2000), "1000 bytes")
        store.write(f"own {sys.argv[2]}", features(seed=9), "1000 bytes")
"""
OLD_S = 2 * 24 * 3600


def start(folder: Path, name: str, line: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), name],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert process.stdout is not None
    while process.stdout.readline().strip() != line:
        assert process.poll() is None
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def make_old(path: Path) -> Path:
    path.write_bytes(b"half")
    os.utime(path, (time.time() - OLD_S, time.time() - OLD_S))
    return path


def test_files_of_dead_writers_are_swept_and_of_living_ones_are_not(tmp_path: Path) -> None:
    folder = Store(tmp_path, LONG_RECIPE).folder
    dead = start(tmp_path, "hang", "begun")
    kill(dead)
    (abandoned,) = files.unfinished_files(folder)
    alive = start(tmp_path, "hang", "begun")
    try:
        assert files.sweep(folder) == [abandoned]
        (in_progress,) = files.unfinished_files(folder)
        assert files.sweep(folder) == []
        assert in_progress.exists()
    finally:
        kill(alive)
    assert files.sweep(folder) == [in_progress]
    assert list(folder.iterdir()) == []


def test_concurrent_writes_reads_sweeps_and_kills(tmp_path: Path) -> None:
    writers = [start(tmp_path, str(number), "ready") for number in range(4)]
    store = Store(tmp_path, LONG_RECIPE)
    swept, reads = 0, 0
    try:
        end = time.monotonic() + 2
        while time.monotonic() < end:
            for number in range(3):
                if store.missing([f"v{number}"]) == []:
                    assert_equal(store.read(f"v{number}"), features(seed=number, frames=2000))
                    reads += 1
            swept += len(store.sweep())
            if time.monotonic() > end - 1 and len(writers) == 4:
                kill(writers.pop())
        assert all(writer.poll() is None for writer in writers)  # no writer's file was swept
    finally:
        for writer in writers:
            kill(writer)
    assert reads > 10
    store.sweep()
    assert files.unfinished_files(store.folder) == []
    assert len(store.manifest()) == 3 + 4


def test_files_of_other_machines_are_swept_after_a_day(tmp_path: Path) -> None:
    fresh = tmp_path / ".0123.elsewhere-01234567.part"
    fresh.write_bytes(b"half")
    old = make_old(tmp_path / ".4567.elsewhere-01234567.part")
    without_machine = make_old(tmp_path / ".89ab.part")
    unknown = make_old(tmp_path / "mine.part")
    assert files.sweep(tmp_path) == [old, without_machine]
    assert sorted(tmp_path.iterdir()) == [fresh, unknown]
    assert files.sweep(tmp_path / "none") == []


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_locks_only_the_age_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(code, "no locks")

    copies: list[Path] = []

    def copy_and_interrupt(source: Path, _: Path) -> None:
        copies.append(source.with_name(f".copy{source.name.lstrip('.')[4:]}"))
        os.link(source, copies[0])
        raise KeyboardInterrupt

    monkeypatch.setattr(fcntl, "flock", no_locks)
    files.write(tmp_path / "v", b"whole")
    assert (tmp_path / "v").read_bytes() == b"whole"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", copy_and_interrupt)
        with pytest.raises(KeyboardInterrupt):
            files.write(tmp_path / "w", b"whole")
    # A process with locks must not take an unlocked file for a dead writer's.
    monkeypatch.undo()
    assert copies[0].exists()
    assert files.sweep(tmp_path) == []
    make_old(copies[0])
    assert copies[0] in files.sweep(tmp_path)


def test_a_file_swept_before_it_was_locked_is_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock
    swept: list[Path] = []

    def sweep_then_lock(file: object, operation: int) -> None:
        if not swept:
            monkeypatch.setattr(fcntl, "flock", lock)
            swept.extend(files.sweep(tmp_path))
        lock(file, operation)  # type: ignore[arg-type]

    monkeypatch.setattr(fcntl, "flock", sweep_then_lock)
    files.write(tmp_path / "v", b"whole")
    assert len(swept) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["v"]


def test_a_full_disk_is_reported(small_disk: Path) -> None:
    store = Store(small_disk / "store", RECIPE)
    store.write("v", features(), "1000 bytes")
    with pytest.raises(OSError, match="the disk is full: free space") as caught:
        store.write("w", features(frames=10_000), "1000 bytes")
    assert caught.value.errno == errno.ENOSPC
    assert str(store.folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(store.folder.iterdir()) == [store.path("v")]
    assert_equal(store.read("v"), features())
    store.write("x", features(), "1000 bytes")


def test_a_read_only_disk_is_reported(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(OSError, match="read-only file system: take another folder") as caught:
        Store(small_disk / "store", RECIPE).write("v", features(), "1000 bytes")
    assert caught.value.errno == errno.EROFS


def test_a_limit_on_file_size_is_reported(tmp_path: Path) -> None:
    code = """
import resource, sys
from pathlib import Path
from a2inet_jax import files
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    files.write(Path(sys.argv[1]) / "v", bytes(100_000))
except OSError as error:
    print(error)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output.startswith(str(tmp_path))
    assert "ulimit -f" in output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.EDQUOT, "the quota is used up"),
        (errno.EACCES, "permission denied"),
        (errno.EIO, "Input/output error: check the path"),
    ],
)
def test_other_errors_are_reported_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, remedy: str
) -> None:
    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=remedy) as caught:
        files.write(tmp_path / "v", b"whole")
    assert caught.value.errno == code
    assert str(tmp_path) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"")
    with pytest.raises(OSError, match="store cannot be written"):
        files.write(tmp_path / "store" / "v", b"whole")
    assert files.sweep(tmp_path / "store") == []
    with pytest.raises((OSError, StoreError)):
        Store(tmp_path / "store", RECIPE)


def test_sha256_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a clip" * 1000)
    assert files.sha256(tmp_path / "file") == hashlib.sha256(b"a clip" * 1000).hexdigest()


def test_sha256_of_arrays_depends_on_order_names_dtypes_shapes_and_values() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    content = b"a float32 (2, 3)\n" + array.tobytes() + b"b float32 (3, 2)\n" + array.T.tobytes()
    digest = files.sha256_of_arrays({"a": array, "b": array.T})
    assert digest == hashlib.sha256(content).hexdigest()
    others: list[dict[str, np.ndarray]] = [
        {"a": array, "c": array.T},
        {"b": array.T, "a": array},
        {"a": array.astype(np.float64), "b": array.T},
        {"a": array.reshape(6), "b": array.T},
        {"a": array + 1, "b": array.T},
    ]
    assert digest not in {files.sha256_of_arrays(other) for other in others}


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems have other folders")


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("A2INET_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("xdg_cache_home", [None, "/elsewhere"])
@pytest.mark.usefixtures("no_variables")
def test_a2inet_home_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, xdg_cache_home: str | None
) -> None:
    if xdg_cache_home:
        monkeypatch.setenv("XDG_CACHE_HOME", xdg_cache_home)
    monkeypatch.setenv("A2INET_HOME", str(tmp_path))
    assert files.cache_dir() == tmp_path


@pytest.mark.usefixtures("no_variables")
def test_every_default_is_a_folder_called_a2inet() -> None:
    assert files.cache_dir().name == "a2inet"


@on_linux
@pytest.mark.usefixtures("no_variables")
def test_xdg_cache_home_is_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert files.cache_dir() == tmp_path / "a2inet"


@on_linux
@pytest.mark.parametrize("empty", ["A2INET_HOME", "XDG_CACHE_HOME"])
@pytest.mark.usefixtures("no_variables")
def test_the_default_is_below_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty: str
) -> None:
    """Also where one of the variables is set to nothing."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.cache_dir() == tmp_path / ".cache" / "a2inet"
    monkeypatch.setenv(empty, "")
    assert files.cache_dir() == tmp_path / ".cache" / "a2inet"
