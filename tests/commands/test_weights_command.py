"""`a2inet weights`: what it prints and returns."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from a2inet_jax.backbones import weights
from a2inet_jax.backbones.pretrained import PRETRAINED
from a2inet_jax.commands.weights import table
from a2inet_jax.main import main
from tests.loopback import Server
from tests.weights_inputs import published, tiny_served


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with tiny_served(tmp_path / "home") as running:
        yield running


@pytest.mark.parametrize("width", [80, 100])
def test_the_list_can_be_read(width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A2INET_HOME", str(tmp_path))
    console = Console(width=width)
    with console.capture() as captured:
        console.print(table(), crop=False)
    lines = captured.get().splitlines()
    for name, entry in PRETRAINED.items():
        row, origin = (line for line in lines if line.startswith(f"{name} "))
        assert re.search(rf" {entry.backbone} +{entry.trained_on.split()[0]}.* no *$", row)
        assert origin.endswith(str(entry.origin))
        assert (f"* {name}: take them as non-commercial" in captured.get()) == bool(
            entry.restriction
        )
    assert all(len(line) <= width for line in lines[: lines.index("")])
    assert PRETRAINED["resnet34_unique"].restriction
    assert PRETRAINED["maniqa"].restriction


def test_the_command(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def a2inet(*arguments: str) -> int:
        return main(["weights", *arguments])

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
