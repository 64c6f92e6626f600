"""Files that are whole or not there: written under another name, then renamed; dead writers' are swept.

A living writer holds a lock on its file. The name tells the machine, because a lock may not be seen from
another one, and not every file system has locks.
"""

import errno
import fcntl
import os
import socket
import time
import urllib.parse
import uuid
from pathlib import Path
from typing import BinaryIO

_SUFFIX = ".part"
# A write takes seconds: what is as old as this, and whose writer can't be asked, has none any more.
_ABANDONED_S = 24 * 3600
_NO_LOCK = "unlocked"
_REMEDIES = {
    errno.ENOSPC: "the disk is full: free space",
    errno.EDQUOT: "the quota is used up: free space, or ask for more",
    errno.EROFS: "it is on a read-only file system: take another folder",
    errno.EACCES: "permission denied: allow it, or take another folder",
    errno.EPERM: "permission denied: allow it, or take another folder",
    errno.EFBIG: "a file would be larger than is allowed: raise `ulimit -f`",
}


class FolderError(OSError):
    """A folder can't be written; the message says why and what to do."""

    def __init__(self, folder: Path, error: OSError) -> None:
        reason = _REMEDIES.get(error.errno or 0, f"{error.strerror or error}: fix that")
        message = f"{folder} can't be written, {reason}, and run the same command again"
        super().__init__(error.errno, message)

    def __str__(self) -> str:
        return str(self.strerror)


def write(path: Path, content: bytes) -> None:
    """Put a file in place whole, over what may be there. The folder is made.

    Args:
      path: of the file.
      content: all of it.

    Raises:
      FolderError: it can't be written; nothing half-written is left.
    """
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        aside, file = _begin(folder)
        try:
            with file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                aside.replace(path)  # while the lock is held
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise FolderError(folder, error) from error


def parts(folder: Path) -> list[Path]:
    """Files under way or left behind in a folder, sorted."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(".")]
    return sorted(folder / name for name in names if name.endswith(_SUFFIX))


def sweep(folder: Path) -> list[Path]:
    """Remove the files under way whose writers are dead; those of living writers are never touched.

    A file of this machine is removed if nobody holds its lock, one of another machine, or where there are no
    locks, if it is older than a day.

    Args:
      folder: of a store; nothing happens if there is none.

    Returns:
      What was removed.
    """
    try:
        return [path for path in parts(folder) if _sweep(path)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _begin(folder: Path) -> tuple[Path, BinaryIO]:
    """A new file that this process has locked, where there are locks."""
    machine = _machine()
    while True:
        aside = folder / f".{uuid.uuid4().hex}.{machine}{_SUFFIX}"
        file = aside.open("xb")
        try:
            if machine != _NO_LOCK:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever sweeps may have been quicker than our lock.
            if _is_there(aside, file.fileno()):
                return aside, file
        except BlockingIOError:
            pass
        except OSError:
            machine = _NO_LOCK
        file.close()
        aside.unlink(missing_ok=True)


def _sweep(path: Path) -> bool:
    try:
        # The name may be gone by now, or be a folder's.
        if path.name.removesuffix(_SUFFIX).partition(".")[2].partition(".")[2] != _machine():
            return _sweep_old(path)
        # For writing: some network file systems lock nothing else.
        with path.open("r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            except OSError:
                return _sweep_old(path)
            # A writer that was done before we had the lock has renamed it.
            if not _is_there(path, file.fileno()):
                return False
            path.unlink()
            return True
    except OSError:
        return False  # somebody else's to remove, or gone


def _sweep_old(path: Path) -> bool:
    if time.time() - path.stat().st_mtime < _ABANDONED_S:
        return False
    path.unlink()
    return True


def _is_there(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _machine() -> str:
    """Host name and boot: many machines of a cluster may be called localhost."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{urllib.parse.quote(socket.gethostname(), safe='')}-{boot[:8]}"
