import os
import time
from pathlib import Path

from a2inet_jax.features.in_flight import MAX_DEATHS, InFlightMarkers


def test_markers_that_remain_are_deaths(tmp_path: Path) -> None:
    markers = InFlightMarkers.create(tmp_path / "store")
    others = InFlightMarkers(markers.folder)  # those that a worker sees
    names = ["a", "b/c", "é" * 200]
    assert [others.deaths(name) for name in names] == [0, 0, 0]
    markers.begin(names)
    markers.begin(names[1:])
    assert [others.deaths(name) for name in names] == [1, 2, 2]
    markers.begin(names)
    assert others.deaths("a") == others.deaths("b/c") == MAX_DEATHS
    others.end(["a", "b/c"])
    assert [markers.deaths(name) for name in names] == [0, 0, 2]
    markers.remove()
    assert list((tmp_path / "store").iterdir()) == []


def test_only_folders_abandoned_long_ago_are_removed(tmp_path: Path) -> None:
    recent, abandoned = InFlightMarkers.create(tmp_path), InFlightMarkers.create(tmp_path)
    abandoned.begin(["a"])
    long_ago = time.time() - 8 * 24 * 3600
    os.utime(abandoned.folder, (long_ago, long_ago))
    new = InFlightMarkers.create(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([recent.folder, new.folder])
