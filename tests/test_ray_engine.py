import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.errors import EngineError
from a2inet_jax.features import extract as extract_module
from a2inet_jax.features import ray_engine
from a2inet_jax.features.ray_engine import Plan, plan
from a2inet_jax.features.store import Store
from tests.extraction_inputs import extractor
from tests.ray_inputs import NUMBER, POISON, batch, content, make_clips, videos, worker


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clips(tmp_path_factory)


@pytest.fixture(scope="module")
def alone(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process makes of them."""
    extract = extractor()
    store = Store(tmp_path_factory.mktemp("alone"), extract.recipe)
    work = extract_module.extract_all(videos(clips), extract, store, lambda *_: None)
    assert [failure.video_id for failure in work.failures] == ["bad.mp4"]
    return content(store.folder)


def test_plan() -> None:
    gpu_node, head = {"CPU": 128.0, "GPU": 8.0}, {"CPU": 4.0, "memory": 1e9}
    assert plan([gpu_node, gpu_node, head]) == Plan(actors=16, cpus=15, gpus=1)
    assert plan([gpu_node, gpu_node, head], actors=3) == Plan(actors=3, cpus=15, gpus=1)
    assert plan([{"CPU": 16.0}, {"CPU": 9.0}, {}]) == Plan(actors=2, cpus=8, gpus=0)
    assert plan([{"CPU": 16.0}, {"CPU": 9.0}], actors=3) == Plan(actors=3, cpus=4, gpus=0)
    assert plan([{"CPU": 1.0}]) == Plan(actors=1, cpus=1, gpus=0)
    with pytest.raises(EngineError, match="9: the cluster has 8 GPUs"):
        plan([gpu_node], actors=9)
    with pytest.raises(EngineError, match="0: the cluster has 0 CPUs"):
        plan([{}])
    with pytest.raises(EngineError, match="3: the cluster has 2 CPUs"):
        plan([{"CPU": 2.0}], actors=3)


@pytest.mark.parametrize(
    ("videos", "actors", "decoders", "largest"),
    [(38811, 8, 15, 60), (1000, 8, 15, 32), (100, 4, 16, 15), (3, 8, 15, 1), (1, 1, 1, 1)],
)
def test_batches_keep_decoders_and_actors_busy(
    videos: int, actors: int, decoders: int, largest: int
) -> None:
    batches = ray_engine._batches(videos, actors, decoders)
    assert -(-videos // batches) == largest
    assert batches >= min(videos, actors)


def test_what_no_worker_stored_is_a_failure(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever Ray says: here it loses one video and tells of another that is not there."""
    ray = SimpleNamespace(
        init=lambda *_, **__: None,
        nodes=lambda: [{"Alive": True, "Resources": {"CPU": 4.0}}],
        shutdown=lambda: None,
        exceptions=SimpleNamespace(RayError=ZeroDivisionError),
    )
    bad, lost, elsewhere, good = videos(clips)[:4]

    def rows(_: object, todo: list[VideoFile], *__: object) -> Iterator[dict[str, Any]]:
        assert todo == [bad, lost, elsewhere, good]
        begun = next(tmp_path.glob("store/.begun-*"))
        told = worker(tmp_path / "store", begun)(batch([bad, good]))
        told["video_id"].append(elsewhere.video_id)
        for name, empty in (("frames", 9), ("reason", ""), ("error", ""), ("trace", "")):
            told[name].append(empty)
        yield from (dict(zip(told, row)) for row in zip(*told.values()))

    monkeypatch.setattr(ray_engine, "import_ray", lambda: ray)
    monkeypatch.setattr(ray_engine, "_rows", rows)
    monkeypatch.setattr(ray_engine, "_PATIENCE_S", 0.0)
    store = Store(tmp_path / "store", extractor().recipe)
    work = ray_engine.extract_all([bad, lost, elsewhere, good], extractor, store, lambda *_: None)
    assert [failure.video_id for failure in work.failures] == [
        video.video_id for video in (bad, lost, elsewhere)
    ]
    assert "holds no video" in work.failures[0].reason
    assert "no worker has said" in work.failures[1].reason
    assert "do all nodes share" in work.failures[2].reason
    assert work.failures[1].path == lost.path
    assert work.videos == 1
    assert [path.name.split(".")[0] for path in store.folder.iterdir()] == ["v02"]


# From here on with Ray itself, in processes of its own.


def start(*arguments: object, **options: Any) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.ray_inputs", *map(str, arguments)]
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "JAX_PLATFORMS": "cpu"}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(command, text=True, env=environment, **options)


def finish(child: "subprocess.Popen[str]") -> tuple[dict[str, str], int, int, int]:
    """Failures, videos, frames and actors, of a process that said nothing but what it should."""
    try:
        shown, complaints = child.communicate(timeout=240)
    finally:
        child.kill()
    assert complaints == ""
    *lines, last = shown.splitlines()
    assert all(line[0].isdigit() for line in lines)
    done, total = lines[-1].split()[0].split("/")
    assert done == total
    failures, videos, frames, actors = json.loads(last)
    return dict(failures), videos, frames, actors


def begun(path: Path) -> list[tuple[int, str]]:
    """Who began which video, in order."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(pid), name) for pid, name in (line.split() for line in lines)]


def wait_for(enough: Callable[[], bool]) -> None:
    until = time.monotonic() + 180
    while not enough():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture(scope="module")
def cluster() -> "Iterator[subprocess.Popen[str]]":
    """A head and two nodes; `.address` of it, and `.stdin` takes processes whose node is to be killed."""
    with start("cluster", 2, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        while not (line := child.stdout.readline()).startswith("address"):
            assert line  # else it has ended
        child.address = line.split()[1]  # type: ignore[attr-defined]
        yield child
        child.communicate(timeout=60)


@pytest.mark.slow
def test_a_ray_of_ones_own_whose_worker_is_killed(
    clips: Path, tmp_path: Path, alone: dict[str, bytes]
) -> None:
    child = start("extract", clips, tmp_path / "store", tmp_path / "begun")
    wait_for(lambda: len(begun(tmp_path / "begun")) >= 4)
    os.kill(begun(tmp_path / "begun")[-1][0], signal.SIGKILL)
    failures, number, _, actors = finish(child)
    assert list(failures) == ["bad.mp4"]
    assert failures["bad.mp4"].startswith("holds no video")
    assert (number, actors) == (NUMBER, 1)
    assert content(tmp_path / "store") == alone
    assert len({pid for pid, _ in begun(tmp_path / "begun")}) == 2


@pytest.mark.slow
def test_an_error_of_ours_is_one_line(clips: Path, tmp_path: Path, cluster: Any) -> None:
    child = start("extract", clips, tmp_path / "store", "full_disk", cluster.address)
    shown, complaints = child.communicate(timeout=240)
    assert child.returncode == 1
    assert "No space left on device" in complaints
    assert complaints.count("\n") == 1
    assert shown.startswith(f"0/{NUMBER + 1}")
    assert content(tmp_path / "store") == {}


@pytest.mark.slow
def test_a_video_that_kills_workers_is_tried_twice(
    clips: Path, tmp_path: Path, cluster: Any, alone: dict[str, bytes]
) -> None:
    with_poison = tmp_path / "videos"
    shutil.copytree(clips, with_poison)
    shutil.copy(clips / "v00.mp4", with_poison / POISON)
    # A worker has another working folder, so that it would not find the videos by this path.
    arguments = ("videos", "store", tmp_path / "begun", cluster.address)
    failures, number, frames, actors = finish(start("extract", *arguments, cwd=tmp_path))
    assert actors == 2
    assert frames <= 3 * (25 + 2 + 10 + 50)
    assert list(failures) == ["bad.mp4", POISON]
    assert "took 2 workers down" in failures[POISON]
    assert number == NUMBER
    assert content(tmp_path / "store") == alone
    assert [name for _, name in begun(tmp_path / "begun")].count(POISON) == 2


@pytest.mark.slow
def test_a_killed_driver_goes_on(
    clips: Path, tmp_path: Path, cluster: Any, alone: dict[str, bytes]
) -> None:
    folder, told = tmp_path / "store", tmp_path / "begun"
    child = start("extract", clips, folder, told, cluster.address)
    wait_for(lambda: len(list(folder.glob("*.safetensors"))) >= 4)
    child.kill()
    child.communicate()
    # Its actors end with it.
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid, _ in begun(told)))
    stored = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}
    assert 4 <= len(stored) < NUMBER
    told.unlink()
    failures, number, _, _ = finish(start("extract", clips, folder, told, cluster.address))
    assert (list(failures), number) == (["bad.mp4"], NUMBER - len(stored))
    assert len(begun(told)) == NUMBER + 1 - len(stored)
    assert all((folder / name).stat().st_mtime_ns == when for name, when in stored.items())
    there = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    assert there == alone


@pytest.mark.slow
def test_a_killed_node_is_made_up_for(
    clips: Path, tmp_path: Path, cluster: Any, alone: dict[str, bytes]
) -> None:
    """The last test: one node of the two is left, with room for one actor."""
    child = start("extract", clips, tmp_path / "store", tmp_path / "begun", cluster.address)
    wait_for(lambda: len({pid for pid, _ in begun(tmp_path / "begun")}) == 2)
    cluster.stdin.write(f"{begun(tmp_path / 'begun')[-1][0]}\n")
    cluster.stdin.flush()
    assert cluster.stdout.readline() == "killed\n"
    failures, number, _, actors = finish(child)
    assert (list(failures), number, actors) == (["bad.mp4"], NUMBER, 2)
    assert content(tmp_path / "store") == alone
