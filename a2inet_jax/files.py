"""Files: written whole or not at all, as bytes, CSV or JSON; SHA-256 checksums; the cache folder.

A file is written under a temporary name, then renamed. The writer holds a lock on its temporary file, by
which `sweep` distinguishes living writers from dead ones. The temporary name contains the machine's name,
because other machines may not see the lock, and because some file systems have no locks.
"""

import csv
import errno
import fcntl
import hashlib
import io
import json
import os
import socket
import time
import urllib.parse
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import platformdirs

_SUFFIX = ".part"
# A write takes seconds. Where a lock says nothing, a file of this age is taken for abandoned.
_ABANDONED_S = 24 * 3600
_NO_LOCK = "unlocked"
_REMEDIES = {
    errno.ENOSPC: "the disk is full: free space",
    errno.EDQUOT: "the quota is used up: free space, or ask for more",
    errno.EROFS: "it is on a read-only file system: take another folder",
    errno.EACCES: "permission denied: allow it, or take another folder",
    errno.EPERM: "permission denied: allow it, or take another folder",
    errno.EEXIST: "a file of that name is in the way: take another folder",
    errno.ENOTDIR: "a file of that name is in the way: take another folder",
    errno.EFBIG: "a file would be larger than is allowed: raise `ulimit -f`",
}


class FolderError(OSError):
    """A folder cannot be written; the message says why and what to do."""

    def __init__(self, folder: Path, error: OSError) -> None:
        reason = _REMEDIES.get(error.errno or 0, f"{error.strerror or error}: check the path")
        message = f"{folder} cannot be written: {reason}, and run the same command again"
        super().__init__(error.errno, message)

    def __str__(self) -> str:
        return str(self.strerror)


def write(path: Path, content: bytes) -> None:
    """Write a file whole, replacing any file of this name; its folder is made if need be.

    Raises:
        FolderError: The file cannot be written; nothing incomplete is left.
    """
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary, file = _create_locked(folder)
        try:
            with file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                # Renamed while the lock is held: a sweep cannot come in between.
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise FolderError(folder, error) from error


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a CSV table, lines ended by a newline alone."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV table in UTF-8; names of files that are not, keep their bytes. Raises as `write`."""
    write(path, csv_text(header, rows).encode("utf-8", "surrogateescape"))


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON with sorted keys.

    Raises:
        FolderError: The file cannot be written.
        ValueError: A number is not finite.
    """
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write(path, f"{text}\n".encode())


def unfinished_files(folder: Path) -> list[Path]:
    """Return the temporary files in a folder, sorted: those being written and those of dead writers."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(".")]
    return sorted(folder / name for name in names if name.endswith(_SUFFIX))


def sweep(folder: Path) -> list[Path]:
    """Remove the temporary files of dead writers; those of living writers are never touched.

    A file of this machine is removed if nobody holds its lock. A file of another machine, or of a file system
    without locks, is removed if it is older than a day. A folder that does not exist has none.

    Returns:
        The files that were removed.
    """
    try:
        return [path for path in unfinished_files(folder) if _remove_if_dead(path)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of arrays in their order, with names, dtypes and shapes, in hexadecimal."""
    content = hashlib.sha256()
    for name, array in arrays.items():
        content.update(f"{name} {array.dtype} {array.shape}\n".encode())
        content.update(np.ascontiguousarray(array).data)
    return content.hexdigest()


def cache_dir() -> Path:
    """Return `$A2INET_HOME`, else the user's cache folder, on Linux `~/.cache/a2inet`.

    Where `$XDG_CACHE_HOME` is set on Linux, it takes the place of `~/.cache`.
    """
    home = os.environ.get("A2INET_HOME")
    return Path(home) if home else platformdirs.user_cache_path("a2inet")


def _create_locked(folder: Path) -> tuple[Path, BinaryIO]:
    """Create a temporary file, locked by this process where there are locks."""
    machine = _machine()
    while True:
        temporary = folder / f".{uuid.uuid4().hex}.{machine}{_SUFFIX}"
        file = temporary.open("xb")
        try:
            if machine != _NO_LOCK:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A sweep may have removed the file before it was locked.
            if _is_same_file(temporary, file.fileno()):
                return temporary, file
        except BlockingIOError:
            pass
        except OSError:
            machine = _NO_LOCK
        file.close()
        temporary.unlink(missing_ok=True)


def _remove_if_dead(path: Path) -> bool:
    try:
        # Any of these steps may fail: the file may be gone by now, or be a folder.
        if path.name.removesuffix(_SUFFIX).partition(".")[2].partition(".")[2] != _machine():
            return _remove_if_old(path)
        # Opened for writing, because some network file systems do not lock files opened for reading.
        with path.open("r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            except OSError:
                return _remove_if_old(path)
            # The writer may have renamed the file before we had the lock.
            if not _is_same_file(path, file.fileno()):
                return False
            path.unlink()
            return True
    except OSError:
        # Gone, or not ours to remove.
        return False


def _remove_if_old(path: Path) -> bool:
    if time.time() - path.stat().st_mtime < _ABANDONED_S:
        return False
    path.unlink()
    return True


def _is_same_file(path: Path, file_descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file_descriptor))
    except FileNotFoundError:
        return False


def _machine() -> str:
    """Return host name and boot id: many machines of a cluster may be called localhost."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{urllib.parse.quote(socket.gethostname(), safe='')}-{boot[:8]}"
