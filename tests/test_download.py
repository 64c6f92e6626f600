"""Downloads from a server on the loopback that fails in the ways that real ones do."""

import errno
import hashlib
import io
import os
import subprocess
import sys
import time
import urllib.request
import urllib.response
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from a2inet_jax import download
from a2inet_jax.errors import DownloadError
from tests.loopback import COMMIT, Server, serving

CONTENT = bytes(range(256)) * 4000  # about 1 MB
HALF = len(CONTENT) // 2


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        running.files["/file"] = CONTENT
        yield running


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_PAUSES", (0, 0, 0))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def fetch(server: Server, folder: Path) -> list[tuple[int, int]]:
    """Download `/file` into the folder; what was told of its progress."""
    told: list[tuple[int, int]] = []
    download.download(f"{server.url}/file", folder / "file", lambda *now: told.append(now))
    return told


def ranges(server: Server) -> list[str | None]:
    return [headers["Range"] for headers in server.asked]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole_and_alone(server: Server, tmp_path: Path) -> None:
    told = fetch(server, tmp_path / "new")
    assert (tmp_path / "new" / "file").read_bytes() == CONTENT
    assert names(tmp_path / "new") == ["file"]
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert told == sorted(told)


def test_what_is_there_is_not_fetched(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"kept")
    fetch(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == b"kept"
    assert not server.asked


def test_a_cut_connection_is_taken_up_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.faults = [{"cut": 1000}, {"cut": HALF}]
    told = fetch(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=1000-", f"bytes={1000 + HALF}-"]
    assert all(headers["If-Range"] for headers in server.asked[1:])
    assert {total for _, total in told} == {len(CONTENT)}
    assert told == sorted(told)


def test_another_call_goes_on_where_one_gave_up(server: Server, tmp_path: Path) -> None:
    server.faults = [{"cut": HALF}] + [{"cut": 0}] * 4
    with pytest.raises(DownloadError, match=rf"broke after {HALF} of .*{HALF} bytes are"):
        fetch(server, tmp_path)
    assert not (tmp_path / "file").exists()
    server.asked.clear()
    fetch(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert ranges(server) == [f"bytes={HALF}-"]
    assert names(tmp_path) == ["file"]


def test_a_silent_server_is_left(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_SILENCE", 0.2)
    server.faults = [{"cut": HALF, "silence": 10}]
    begun = time.monotonic()
    fetch(server, tmp_path)
    assert time.monotonic() - begun < 5
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_comes_anew(server: Server, tmp_path: Path) -> None:
    server.faults = [{"cut": HALF}] + [{"cut": 0}] * 4
    with pytest.raises(DownloadError):
        fetch(server, tmp_path)
    server.files["/file"] = CONTENT[::-1]
    fetch(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize(
    "fault",
    [{"ranges": False}, {"trust": True, "content": CONTENT[::-1]}, {"shift": 1}, {"status": 503}],
    ids=["no ranges", "another file", "another place", "busy"],
)
def test_a_server_that_cannot_go_on_gives_the_file_anew(
    server: Server, tmp_path: Path, fault: dict[str, Any]
) -> None:
    server.faults = [{"cut": HALF}, fault]
    fetch(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_tag_nothing_is_patched_together(
    server: Server, tmp_path: Path, etag: str | None
) -> None:
    server.faults = [{"cut": HALF, "etag": etag}]
    fetch(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert ranges(server) == [None, None]


def test_a_date_does_for_a_tag(server: Server, tmp_path: Path) -> None:
    dated = {"etag": None, "date": "Mon, 05 Jan 2026 10:00:00 GMT"}
    server.faults = [{"cut": HALF, **dated}, dated]
    fetch(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert ranges(server) == [None, f"bytes={HALF}-"]


def test_a_part_that_is_whole_already_is_taken(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch(server, tmp_path)
    assert names(tmp_path) == ["file.part", "file.part.tag"]
    fetch(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert ranges(server) == [None, f"bytes={len(CONTENT)}-"]


def test_a_part_that_is_too_long_is_thrown_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT + b"!")
    (tmp_path / "file.part.tag").write_text(f'"{hashlib.sha256(CONTENT).hexdigest()}"')
    fetch(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_missing_file_is_an_error_at_once(server: Server, tmp_path: Path) -> None:
    del server.files["/file"]
    with pytest.raises(DownloadError, match="/file: the server answers 404 Not Found"):
        fetch(server, tmp_path)
    assert len(server.asked) == 1
    assert names(tmp_path) == []


def test_a_busy_server_is_asked_four_times(server: Server, tmp_path: Path) -> None:
    server.faults = [{"status": 503}] * 4
    with pytest.raises(DownloadError, match=r"answers 503 Service Unavailable$"):
        fetch(server, tmp_path)
    assert len(server.asked) == 4


def test_no_server_is_told(tmp_path: Path) -> None:
    with Server() as closed:
        url = closed.url
    with pytest.raises(DownloadError, match=r"no connection .*refused"):
        download.download(f"{url}/file", tmp_path / "file", lambda *_: None)


def test_redirections_are_followed_with_the_range(server: Server, tmp_path: Path) -> None:
    there = {"location": f"{server.url}/elsewhere"}
    server.files["/elsewhere"] = server.files.pop("/file")
    server.faults = [there, {"cut": HALF}, there]
    fetch(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert ranges(server) == [None, None, f"bytes={HALF}-", f"bytes={HALF}-"]


class Secure(urllib.request.HTTPSHandler):
    """An encrypted server, here without encryption, that redirects to one that isn't."""

    def https_open(self, request: urllib.request.Request) -> Any:
        answer = io.BytesIO()
        headers = Message()
        headers["Location"] = "http://elsewhere/file"
        response = urllib.response.addinfourl(answer, headers, request.full_url, 302)
        response.msg = "Found"  # type: ignore[attr-defined]
        return response


def test_encryption_is_not_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = urllib.request.build_opener
    monkeypatch.setattr("urllib.request.build_opener", lambda *given: build(Secure, *given))
    with pytest.raises(DownloadError, match="http://elsewhere/file, which isn't encrypted"):
        download.download("https://here/file", tmp_path / "file", lambda *_: None)


def test_a_disk_that_is_too_small_is_told_before(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(free=300_000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: free)
    with pytest.raises(DownloadError, match=r"1\.0 MB are needed, 0\.3 MB are free") as told:
        fetch(server, tmp_path)
    assert f"no space for file.part in {tmp_path}" in str(told.value)
    assert names(tmp_path) == []
    free.free = 2_000_000
    fetch(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_disk_that_runs_full_leaves_a_part_to_go_on_from(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DownloadError, match=r"no space for file\.part"):
            fetch(server, tmp_path)
    assert not (tmp_path / "file").exists()
    fetch(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT


def hub(home: Path, endpoint: str, file: str, **more: str) -> subprocess.CompletedProcess[str]:
    """`from_hub` in a process of its own: the hub's package reads its variables when it is imported."""
    command = (
        f"from a2inet_jax.download import from_hub; print(from_hub('a/b', '{COMMIT}', '{file}'))"
    )
    variables = {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1"}
    return subprocess.run(
        [sys.executable, "-c", command],
        env={**os.environ, **variables, **more},
        capture_output=True,
        text=True,
    )


def test_a_file_of_the_hub_stays_in_its_cache(server: Server, tmp_path: Path) -> None:
    server.files[f"/a/b/resolve/{COMMIT}/model.safetensors"] = CONTENT
    first = hub(tmp_path, server.url, "model.safetensors")
    assert first.returncode == 0, first.stderr
    assert Path(first.stdout.strip()).read_bytes() == CONTENT
    requests = len(server.asked)
    offline = hub(tmp_path, server.url, "model.safetensors", HF_HUB_OFFLINE="1")
    assert offline.stdout == first.stdout
    missing = hub(tmp_path, server.url, "other", HF_HUB_OFFLINE="1")
    assert (
        "DownloadError: other of a/b: it isn't in the hub's cache, and HF_HUB_OF" in missing.stderr
    )
    assert len(server.asked) == requests


def test_whatever_the_hubs_client_raises_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*_: object, **__: object) -> None:
        raise ArithmeticError("connection cut")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", cut)
    with pytest.raises(DownloadError, match="f of a/b: connection cut"):
        download.from_hub("a/b", COMMIT, "f")


def test_the_hubs_refusal_is_told(server: Server, tmp_path: Path) -> None:
    answered = hub(tmp_path, server.url, "other")
    assert "DownloadError: other of a/b: " in answered.stderr
    assert "404" in answered.stderr
