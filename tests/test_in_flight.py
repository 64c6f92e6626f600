import os
import time
from pathlib import Path

from a2inet_jax.features.in_flight import DEATHS, Quarantine


def test_marks_without_an_end_are_deaths(tmp_path: Path) -> None:
    quarantine = Quarantine.create(tmp_path / "store")
    others = Quarantine(quarantine.folder)  # as a worker sees it
    names = ["a", "b/c", "é" * 200]
    assert [others.deaths(name) for name in names] == [0, 0, 0]
    quarantine.begin(names)
    quarantine.begin(names[1:])
    assert [others.deaths(name) for name in names] == [1, 2, 2]
    quarantine.begin(names)
    assert others.deaths("a") == others.deaths("b/c") == DEATHS
    others.end(["a", "b/c"])
    assert [quarantine.deaths(name) for name in names] == [0, 0, 2]
    quarantine.remove()
    assert list((tmp_path / "store").iterdir()) == []


def test_only_folders_that_were_left_long_ago_are_removed(tmp_path: Path) -> None:
    living, left = Quarantine.create(tmp_path), Quarantine.create(tmp_path)
    left.begin(["a"])
    long_ago = time.time() - 8 * 24 * 3600
    os.utime(left.folder, (long_ago, long_ago))
    new = Quarantine.create(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([living.folder, new.folder])
