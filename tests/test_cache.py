"""The folder for what can be fetched again."""

from pathlib import Path

import pytest

from a2inet_jax.cache import cache_dir


def test_cache_dir_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A2INET_HOME", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("A2INET_HOME")
    assert cache_dir().name == "a2inet"
