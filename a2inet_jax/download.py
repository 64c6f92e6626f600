"""Files from the web: by URL, going on where a cut download stopped, and from the Hugging Face hub.

What comes is whole. Whether it is what was expected, the caller tells by its SHA-256.
"""

import errno
import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.response import addinfourl

from a2inet_jax.errors import DownloadError

_BLOCK = 1 << 16
_SILENCE = 60  # seconds without a byte after which a connection counts as cut
_PAUSES = (1, 3, 9)  # seconds before another attempt, while none brings anything
_BUSY = (408, 425, 429, 500, 502, 503, 504)  # answers that another attempt may better
_FULL = (errno.ENOSPC, errno.EDQUOT)


class _Redirections(urllib.request.HTTPRedirectHandler):
    """Followed, but never from an encrypted connection to one that isn't."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """The request for the next address; DownloadError where it isn't encrypted any more."""
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise DownloadError(f"{req.full_url}: redirected to {newurl}, which isn't encrypted")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _CutError(Exception):
    """This connection brings no more; another may."""


def download(url: str, destination: Path, progress: Callable[[int, int], None]) -> None:
    """Bring a file here, whole or not at all.

    What has come is kept beside the destination as `.part` until it is whole. Another call goes on from there
    if the server still has the same file, which it tells by ETag or date, and starts anew if not. A broken
    connection is taken up again, and given up when four in a row brought nothing.

    Args:
      url: http or https. Redirections are followed, but never from https to http.
      destination: where the file will be; if it is there, nothing is done. For one process at a time.
      progress: called with the bytes that are here and those of the whole file, 0 where that isn't told.

    Raises:
      DownloadError: the server can't be reached, it has no such file, or the disk has no space for it.
    """
    if destination.exists():
        return
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = _Part(destination)
    failures = 0
    while True:
        before = part.size()
        try:
            _attempt(url, part, progress)
            break
        except _CutError as error:
            failures = 0 if part.size() > before else failures + 1
            if failures > len(_PAUSES):
                kept = f"; {part.size()} bytes are kept, the same command goes on from there"
                raise DownloadError(f"{url}: {error}{kept if part.tag() else ''}") from None
            time.sleep(_PAUSES[max(failures - 1, 0)])
    part.path.replace(destination)
    part.remove()


def from_hub(repository: str, commit: str, file: str) -> Path:
    """A file of the Hugging Face hub, in the hub's own cache.

    `huggingface_hub` does the work: HF_HOME, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE hold, what is in its
    cache isn't fetched again, and a cut download goes on.

    Raises:
      DownloadError: the file can't be had.
    """
    import huggingface_hub  # only here: it takes a while, and few need it
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(huggingface_hub.hf_hub_download(repository, file, revision=commit))
    except LocalEntryNotFoundError as error:
        if huggingface_hub.constants.is_offline_mode():
            reason = "it isn't in the hub's cache, and HF_HUB_OFFLINE forbids fetching it"
        else:
            reason = f"the hub can't be reached ({error.__cause__ or error})"
        raise DownloadError(f"{file} of {repository}: {reason}") from None
    except (
        Exception
    ) as error:  # what the hub answers, and errors of its client, which changes with releases
        raise DownloadError(f"{file} of {repository}: {error}") from None


@contextmanager
def space_for(path: Path, needed: int) -> Iterator[None]:
    """Tell in words that the disk is full, before or while a file is written.

    Args:
      path: the file, in a folder that exists.
      needed: bytes that it takes; 0 where that isn't known.

    Raises:
      DownloadError: there is no space.
    """
    try:
        if needed > shutil.disk_usage(path.parent).free:
            raise OSError(errno.ENOSPC, "too little")
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        wanted = f"{needed / 1e6:.1f} MB are needed, " if needed else ""
        free = shutil.disk_usage(path.parent).free / 1e6
        raise DownloadError(
            f"no space for {path.name} in {path.parent}: {wanted}{free:.1f} MB are free; "
            "make space or set A2INET_HOME to a folder on another disk, and run the same command again"
        ) from None


class _Part:
    """What is here of a file, and the tag by which its server knows which file that is."""

    def __init__(self, destination: Path) -> None:
        self.path = destination.with_name(f"{destination.name}.part")
        self._tag = destination.with_name(f"{destination.name}.part.tag")

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def tag(self) -> str:
        return self._tag.read_text() if self._tag.exists() else ""

    def mark(self, tag: str) -> None:
        self._tag.write_text(tag)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)  # first: a tag without a part does no harm
        self._tag.unlink(missing_ok=True)


def _attempt(url: str, part: _Part, progress: Callable[[int, int], None]) -> None:
    """Bring over one connection what is missing; raises _CutError where more is to come."""
    here, tag = part.size(), part.tag()
    asked = {"Range": f"bytes={here}-", "If-Range": tag} if here and tag else {}
    with _open(url, asked) as response:
        if response.status == 416:  # there is nothing behind what is here
            if response.headers.get("Content-Range") == f"bytes */{here}":
                return
            part.remove()
            raise _CutError("the server has another file than the one that was begun")
        offered = _tag(response)
        if response.status == 206:
            span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
            if span is None or int(span[1]) != here or offered not in (tag, ""):
                part.remove()
                raise _CutError("the server went on with another file or at another place")
            total = int(span[2])
        else:
            part.remove()
            total = int(response.headers.get("Content-Length", 0))
        with space_for(part.path, total and total - part.size()):
            if not part.size():
                part.mark(offered)
            with part.path.open("ab") as file:
                progress(file.tell(), total)
                for block in _blocks(response):
                    file.write(block)
                    progress(file.tell(), total)
                file.flush()
                os.fsync(file.fileno())
    if total and part.size() != total:
        raise _CutError(f"the connection broke after {part.size()} of {total} bytes")


def _open(url: str, headers: dict[str, str]) -> addinfourl:
    request = urllib.request.Request(url, headers={"User-Agent": "a2inet-jax", **headers})
    try:
        response = urllib.request.build_opener(_Redirections).open(request, timeout=_SILENCE)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            return error
        answer = f"the server answers {error.code} {error.reason}"
        if error.code in _BUSY:
            raise _CutError(answer) from None
        raise DownloadError(f"{url}: {answer}") from None
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(f"no connection ({getattr(error, 'reason', error)})") from None
    return response


def _tag(response: addinfourl) -> str:
    """By what a server knows a file again; weak tags may stand for other bytes."""
    tag = response.headers.get("ETag", "W/")
    return response.headers.get("Last-Modified", "") if tag.startswith("W/") else tag


def _blocks(response: addinfourl) -> Iterator[bytes]:
    """What comes; network errors are told from those of the disk, both being OSError."""
    try:
        while block := response.read(_BLOCK):
            yield block
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(f"the connection broke ({error})") from None
