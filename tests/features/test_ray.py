import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.features import extract as extract_module
from a2inet_jax.features import ray as ray_engine
from tests.extraction_inputs import extractor
from tests.ray_inputs import NUM_VIDEOS, POISON, batch, content, make_clips, videos, worker


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clips(tmp_path_factory)


@pytest.fixture(scope="module")
def expected(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Contents of the stores that a single process makes of the videos."""
    folder = tmp_path_factory.mktemp("expected")
    work = extract_module.extract_all(videos(clips), extractor(), folder, lambda *_: None)
    assert [failure.video_id for failure in work.failures] == ["bad.mp4"]
    return content(folder)


@pytest.mark.parametrize(
    ("videos", "actors", "decoders", "largest"),
    [(38811, 8, 15, 60), (1000, 8, 15, 32), (100, 4, 16, 15), (3, 8, 15, 1), (1, 1, 1, 1)],
)
def test_batches_keep_decoders_and_actors_busy(
    videos: int, actors: int, decoders: int, largest: int
) -> None:
    num_batches = ray_engine._num_batches(videos, actors, decoders)
    assert -(-videos // num_batches) == largest
    assert num_batches >= min(videos, actors)


def test_a_video_that_no_worker_stored_is_a_failure(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here Ray loses one video, and reports another one that is not in the store."""
    ray = SimpleNamespace(
        init=lambda *_, **__: None,
        nodes=lambda: [{"Alive": True, "Resources": {"CPU": 4.0}}],
        shutdown=lambda: None,
        exceptions=SimpleNamespace(RayError=ZeroDivisionError),
    )
    bad, lost, elsewhere, good = videos(clips)[:4]

    def rows(_: object, todo: list[VideoFile], *__: object) -> Iterator[dict[str, Any]]:
        assert todo == [bad, lost, elsewhere, good]
        markers_folder = next(tmp_path.glob("store/.begun-*"))
        columns = worker(tmp_path / "store", markers_folder)(batch([bad, good]))
        columns["video_id"].append(elsewhere.video_id)
        for name, empty in (("frames", 9), ("reason", ""), ("error", ""), ("trace", "")):
            columns[name].append(empty)
        yield from (dict(zip(columns, row)) for row in zip(*columns.values()))

    monkeypatch.setattr(ray_engine, "import_ray", lambda: ray)
    monkeypatch.setattr(ray_engine, "_rows", rows)
    monkeypatch.setattr(ray_engine, "_VISIBLE_AFTER_S", 0.0)
    folder = tmp_path / "store"
    work = ray_engine.extract_all(
        [bad, lost, elsewhere, good], extractor, folder, extractor().recipes, lambda *_: None
    )
    assert [failure.video_id for failure in work.failures] == [
        video.video_id for video in (bad, lost, elsewhere)
    ]
    assert "no video stream" in work.failures[0].reason
    assert "no worker has reported" in work.failures[1].reason
    assert "do all nodes share" in work.failures[2].reason
    assert work.failures[1].path == lost.path
    assert work.videos == 1
    assert [Path(name).stem for name in content(folder)] == ["v02.mp4"] * 2
    assert len(list(folder.iterdir())) == 2  # the stores, and no markers


# The tests from here on use Ray itself, in processes of its own.


def start(*arguments: object, **options: Any) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.ray_inputs", *map(str, arguments)]
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "JAX_PLATFORMS": "cpu"}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(command, text=True, env=environment, **options)


def finish(child: "subprocess.Popen[str]") -> tuple[dict[str, str], int, int, int]:
    """Return failures, videos, frames and actors of a process that printed nothing unexpected."""
    try:
        output, errors = child.communicate(timeout=240)
    finally:
        child.kill()
    assert errors == ""
    *lines, last = output.splitlines()
    assert all(line[0].isdigit() for line in lines)
    done, total = lines[-1].split()[0].split("/")
    assert done == total
    failures, videos, frames, actors = json.loads(last)
    return dict(failures), videos, frames, actors


def started(path: Path) -> list[tuple[int, str]]:
    """Return process and video of each extraction that was started, in order."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(pid), name) for pid, name in (line.split() for line in lines)]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


@pytest.fixture(scope="module")
def cluster() -> "Iterator[subprocess.Popen[str]]":
    """Run a head and two nodes; `.address` is the head's, `.stdin` takes processes whose node to kill."""
    with start("cluster", 2, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        while not (line := child.stdout.readline()).startswith("address"):
            assert line  # it is empty if the process has ended
        child.address = line.split()[1]  # type: ignore[attr-defined]
        yield child
        child.communicate(timeout=60)


@pytest.mark.slow
def test_a_local_ray_whose_worker_is_killed(
    clips: Path, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    child = start("extract", clips, tmp_path / "store", tmp_path / "log")
    wait_for(lambda: len(started(tmp_path / "log")) >= 4)
    os.kill(started(tmp_path / "log")[-1][0], signal.SIGKILL)
    failures, num_videos, _, actors = finish(child)
    assert list(failures) == ["bad.mp4"]
    assert failures["bad.mp4"].startswith("cannot be decoded: no video stream")
    assert (num_videos, actors) == (NUM_VIDEOS, 1)
    assert content(tmp_path / "store") == expected
    assert len({pid for pid, _ in started(tmp_path / "log")}) == 2


@pytest.mark.slow
def test_an_error_of_no_video_is_one_line(clips: Path, tmp_path: Path, cluster: Any) -> None:
    child = start("extract", clips, tmp_path / "store", "full_disk", cluster.address)
    output, errors = child.communicate(timeout=240)
    assert child.returncode == 1
    assert "No space left on device" in errors
    assert errors.count("\n") == 1
    assert output.startswith(f"0/{NUM_VIDEOS + 1}")
    assert content(tmp_path / "store") == {}


@pytest.mark.slow
def test_a_video_that_kills_workers_is_tried_twice(
    clips: Path, tmp_path: Path, cluster: Any, expected: dict[str, bytes]
) -> None:
    with_poison = tmp_path / "videos"
    shutil.copytree(clips, with_poison)
    shutil.copy(clips / "v00.mp4", with_poison / POISON)
    # Relative paths, although the workers have another working folder.
    arguments = ("videos", "store", tmp_path / "log", cluster.address)
    failures, num_videos, frames, actors = finish(start("extract", *arguments, cwd=tmp_path))
    assert actors == 2
    assert frames <= 3 * (25 + 2 + 10 + 50)
    assert list(failures) == ["bad.mp4", POISON]
    assert "took 2 workers down" in failures[POISON]
    assert num_videos == NUM_VIDEOS
    assert content(tmp_path / "store") == expected
    assert [name for _, name in started(tmp_path / "log")].count(POISON) == 2


@pytest.mark.slow
def test_a_killed_driver_resumes(
    clips: Path, tmp_path: Path, cluster: Any, expected: dict[str, bytes]
) -> None:
    folder, log = tmp_path / "store", tmp_path / "log"
    child = start("extract", clips, folder, log, cluster.address)
    wait_for(lambda: len(list(folder.rglob("*.safetensors"))) >= 8)
    child.kill()
    child.communicate()
    # Its actors end with it.
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid, _ in started(log)))
    stored = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    per_video = Counter(path.name for path in stored)
    complete = sum(number == 2 for number in per_video.values())
    assert 4 <= complete <= len(per_video) < NUM_VIDEOS
    log.unlink()
    failures, num_videos, _, _ = finish(start("extract", clips, folder, log, cluster.address))
    assert (list(failures), num_videos) == (["bad.mp4"], NUM_VIDEOS - complete)
    assert len(started(log)) == NUM_VIDEOS + 1 - complete
    assert all(path.stat().st_mtime_ns == when for path, when in stored.items())
    found = content(folder)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.slow
def test_the_other_node_does_the_work_of_a_killed_one(
    clips: Path, tmp_path: Path, cluster: Any, expected: dict[str, bytes]
) -> None:
    """This test must be the last one: it leaves one node, with room for one actor."""
    child = start("extract", clips, tmp_path / "store", tmp_path / "log", cluster.address)
    wait_for(lambda: len({pid for pid, _ in started(tmp_path / "log")}) == 2)
    cluster.stdin.write(f"{started(tmp_path / 'log')[-1][0]}\n")
    cluster.stdin.flush()
    assert cluster.stdout.readline() == "killed\n"
    failures, num_videos, _, actors = finish(child)
    assert (list(failures), num_videos, actors) == (["bad.mp4"], NUM_VIDEOS, 2)
    assert content(tmp_path / "store") == expected
