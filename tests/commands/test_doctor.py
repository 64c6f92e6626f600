"""`a2inet doctor`: what it finds, and the remedies."""

import subprocess
import sys
from pathlib import Path

import pytest

from a2inet_jax.commands import doctor
from a2inet_jax.main import main
from a2inet_jax.training import loader


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("A2INET_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(doctor, "_has_nvidia_driver", lambda: False)
    return tmp_path / "home"


def lines(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """The findings by check, each followed by its remedy where something is wrong."""
    found: dict[str, str] = {}
    for line in capsys.readouterr().out.splitlines():
        name = line.split()[0]
        if name == "→":
            found[list(found)[-1]] += line.strip()
        else:
            found[name] = line.removeprefix(name).strip()
    return found


def test_a_sound_installation(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    found = lines(capsys)
    assert list(found) == [
        "versions",
        "devices",
        "ffmpeg",
        "decoder",
        "cache",
        "weights",
        "scoring",
        "everything",
    ]
    assert f"Python {sys.version.split()[0]}, a2inet-jax " in found["versions"]
    assert "GiB each" in found["devices"]
    assert str(home) in found["cache"]
    assert "`a2inet weights get default`" in found["weights"]
    assert found["scoring"] == "50 frames decoded; scoring needs weights and a trained run"


def test_a_gpu_that_jax_does_not_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "_has_nvidia_driver", lambda: True)
    assert main(["doctor"]) == 1
    found = lines(capsys)
    assert "JAX computes on the CPU→ pip install 'a2inet-jax[cuda]'" in found["devices"]
    assert found["1"] == "of 7 checks found a problem"


def test_a_cache_that_cannot_be_written(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home.write_text("a file where the folder would be")
    assert main(["doctor"]) == 1
    assert "cannot be written" in (found := lines(capsys)["cache"])
    assert "A2INET_HOME" in found.partition("→")[2]


def test_weights_that_are_not_the_recorded_ones(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = home / "weights" / "resnet18_fdim.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"damaged")
    assert main(["doctor"]) == 1
    assert f"resnet18_fdim: not the recorded file→ remove {file}" in lines(capsys)["weights"]


def test_a_check_that_fails_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> int:
        raise RuntimeError("no memory\nand more lines")

    monkeypatch.setattr(loader, "device_memory", fail)
    assert main(["doctor"]) == 1
    found = lines(capsys)
    assert found["devices"].startswith("no memory→ ")
    assert "scoring" in found


def test_a_platform_that_is_not_there() -> None:
    command = [sys.executable, "-m", "a2inet_jax.main", "doctor"]
    environment = {"JAX_PLATFORMS": "cuda", "PATH": "/usr/bin:/bin", "HOME": str(Path.cwd())}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    (remedy,) = [line for line in done.stdout.splitlines() if "JAX_PLATFORMS is 'cuda'" in line]
    assert "unset it, or install 'a2inet-jax[cuda]'" in remedy
    assert "Traceback" not in done.stderr
