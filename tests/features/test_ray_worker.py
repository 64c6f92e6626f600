import errno
import functools
import os
import time
from pathlib import Path
from typing import Any

import pytest

from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.errors import WeightsError
from a2inet_jax.features import extract as extract_module
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.ray_worker import MAX_DEATHS, InFlightMarkers
from a2inet_jax.features.store import Store
from a2inet_jax.video.sampling import Sampling
from tests.extraction_inputs import extractor
from tests.ray_inputs import batch, content, make_clips, videos, worker


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clips(tmp_path_factory)


def no_weights() -> Extractor:
    raise WeightsError("no such weights: run `a2inet weights get default`")


def test_a_worker_extracts_a_batch_and_leaves_no_marker(clips: Path, tmp_path: Path) -> None:
    markers = InFlightMarkers.create(tmp_path)
    some = videos(clips)[:4]
    rows = worker(tmp_path / "store", markers.folder)(batch(some))
    assert rows["video_id"] == [video.video_id for video in some]
    assert [bool(reason) for reason in rows["reason"]] == [True, False, False, False]
    assert sum(rows["frames"]) == 25 + 2 + 10
    assert not any(rows["error"])
    extract_module.extract_all(some, extractor(), tmp_path / "expected", lambda *_: None)
    assert content(tmp_path / "store") == content(tmp_path / "expected")
    assert list(markers.folder.iterdir()) == []


def test_a_video_in_flight_is_tried_alone_and_not_a_third_time(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    markers = InFlightMarkers.create(tmp_path)
    _, stored, once, twice, fresh = videos(clips)[:5]
    worker(tmp_path / "store", markers.folder)(batch([stored]))
    markers.begin([stored.video_id, once.video_id, twice.video_id])
    markers.begin([stored.video_id, twice.video_id])
    calls: list[list[str]] = []
    original = extract_module.extract_all

    def record(videos: list[VideoFile], *arguments: Any) -> Any:
        assert all(markers.deaths(video.video_id) for video in videos)
        calls.append([video.video_id for video in videos])
        return original(videos, *arguments)

    monkeypatch.setattr(extract_module, "extract_all", record)
    rows = worker(tmp_path / "store", markers.folder)(batch([stored, once, twice, fresh]))
    assert calls == [[stored.video_id, fresh.video_id], [once.video_id]]
    reasons = dict(zip(rows["video_id"], rows["reason"]))
    assert [name for name, reason in reasons.items() if reason] == [twice.video_id]
    assert "took 2 workers down" in reasons[twice.video_id]
    assert len(content(tmp_path / "store")) == 2 * 3
    assert markers.deaths(twice.video_id) == 2
    assert markers.deaths(once.video_id) == markers.deaths(stored.video_id) == 0


def test_the_class_of_a_bug_is_named(clips: Path, tmp_path: Path) -> None:
    def fail() -> Extractor:
        raise ValueError("3 != 4")

    markers = InFlightMarkers.create(tmp_path)
    rows = worker(tmp_path / "store", markers.folder, fail)(batch(videos(clips)[1:3]))
    assert rows["error"][0].startswith("ValueError: 3 != 4 (worker on")


def test_a_worker_with_other_networks_is_refused(clips: Path, tmp_path: Path) -> None:
    markers = InFlightMarkers.create(tmp_path)
    other = functools.partial(extractor, Sampling(frames=3))
    work = worker(tmp_path / "store", markers.folder, other)
    for _ in range(2):
        rows = work(batch(videos(clips)[1:3]))
        assert "different recipes: frames: 3 here, None there" in rows["error"][0]
    assert not (tmp_path / "store").exists()


def test_an_error_of_no_video_is_one_row(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    markers = InFlightMarkers.create(tmp_path)
    some = batch(videos(clips)[1:3])
    rows = worker(tmp_path / "store", markers.folder, no_weights)(some)
    assert len(rows["error"]) == 1
    assert rows["error"][0].startswith("no such weights: run `a2inet weights get default` (worker")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Store, "write", full)
    rows = worker(tmp_path / "store", markers.folder)(some)
    assert "No space left on device (worker on" in rows["error"][0]
    assert "Traceback" in rows["trace"][0]
    assert list(markers.folder.iterdir()) == []  # the worker did not die


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
