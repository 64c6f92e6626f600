"""The folder for files that can be downloaded or made again."""

import sys
from pathlib import Path

import pytest

from a2inet_jax.files import cache_dir

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems have other folders")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("A2INET_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("xdg_cache_home", [None, "/elsewhere"])
def test_a2inet_home_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, xdg_cache_home: str | None
) -> None:
    if xdg_cache_home:
        monkeypatch.setenv("XDG_CACHE_HOME", xdg_cache_home)
    monkeypatch.setenv("A2INET_HOME", str(tmp_path))
    assert cache_dir() == tmp_path


def test_every_default_is_a_folder_called_a2inet() -> None:
    assert cache_dir().name == "a2inet"


@on_linux
def test_xdg_cache_home_is_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "a2inet"


@on_linux
@pytest.mark.parametrize("empty", ["A2INET_HOME", "XDG_CACHE_HOME"])
def test_the_default_is_below_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty: str
) -> None:
    """Also where one of the variables is set to nothing."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "a2inet"
    monkeypatch.setenv(empty, "")
    assert cache_dir() == tmp_path / ".cache" / "a2inet"
