import gc
import os
import signal
import subprocess
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from a2inet_jax.datasets.video import Video
from a2inet_jax.errors import VideoError
from a2inet_jax.features import extract as extract_module
from a2inet_jax.features.extract import Failure, extract_all
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.store import Store, VideoFeatures
from a2inet_jax.video.reader import Reader
from a2inet_jax.video.sampling import FR, Sampling
from tests.clips import Clips, ffmpeg
from tests.extraction_inputs import QUALITY, SEMANTIC, extractor


def ignore(video_id: str, done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    return Clips(tmp_path_factory.getbasetemp() / "clips")


def videos(clips: Clips, *names: str) -> list[Video]:
    return [Video(name, clips.folder / name, 1.0, name) for name in names if clips[name]]


def same(one: VideoFeatures, other: VideoFeatures) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(vars(one).values(), vars(other).values()))


def test_bad_videos_are_listed_and_the_rest_is_there(clips: Clips, tmp_path: Path) -> None:
    every = videos(clips, "h264.mp4", "text.mp4", "two_frames.mp4", "cut.mkv")
    calls: list[tuple[str, int, int]] = []
    extract = extractor()
    store = Store(tmp_path, extract.recipe)
    failures = extract_all(every, extract, store, lambda *call: calls.append(call)).failures
    assert [failure.video_id for failure in failures] == ["text.mp4", "cut.mkv"]
    assert failures[1] == Failure("cut.mkv", clips["cut.mkv"], failures[1].reason)
    assert "cut short" in failures[1].reason
    assert calls[0] == ("", 0, 4)
    assert calls[-1] == ("cut.mkv", 4, 4)
    assert store.missing([video.video_id for video in every]) == ["text.mp4", "cut.mkv"]


def test_a_job_that_was_stopped_goes_on(clips: Clips, tmp_path: Path) -> None:
    every = videos(clips, "h264.mp4", "black.mp4", "two_frames.mp4")

    def stop(video_id: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    extract = extractor()
    store = Store(tmp_path / "stopped", extract.recipe)
    with pytest.raises(KeyboardInterrupt):
        extract_all(every, extract, store, stop)
    assert store.missing([video.video_id for video in every]) == ["two_frames.mp4"]
    before = {path: path.stat().st_mtime_ns for path in store.folder.iterdir()}

    extract = extractor()
    again = Store(tmp_path / "stopped", extract.recipe)
    calls: list[tuple[str, int, int]] = []
    assert extract_all(every, extract, again, lambda *call: calls.append(call)).failures == []
    assert calls == [("", 2, 3), ("two_frames.mp4", 3, 3)]
    straight = Store(tmp_path / "straight", extract.recipe)
    extract_all(every, extract, straight, ignore)
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    for video in every:
        assert same(again.read(video.video_id), straight.read(video.video_id))


def test_replaced_videos_and_damaged_files_are_extracted_again(
    clips: Clips, tmp_path: Path
) -> None:
    path = tmp_path / "v.mp4"
    video = Video("v", path, 1.0, "v")
    extract = extractor()
    store = Store(tmp_path / "store", extract.recipe)
    for name, frames in (("h264.mp4", 25), ("two_frames.mp4", 2)):
        path.write_bytes(clips[name].read_bytes())
        assert extract_all([video], extract, store, ignore).failures == []
        assert len(store.read("v").quality) == frames
    store.path("v").write_bytes(b"damaged")
    assert extract_all([video], extract, store, ignore).failures == []
    assert len(store.read("v").quality) == 2
    path.unlink()
    assert extract_all([video], extract, store, ignore).failures == []
    assert len(store.read("v").quality) == 2


def test_a_store_of_another_recipe_is_refused(clips: Clips, tmp_path: Path) -> None:
    store = Store(tmp_path, extractor(Sampling(frames=3)).recipe)
    with pytest.raises(ValueError, match="sampling"):
        extract_all([], extractor(), store, ignore)


SEVERAL = ("h264.mp4", "large.mp4", "rotate90.mp4", "one_frame.mp4", "black.mp4", "gray.mp4")


def content(store: Store) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.folder.iterdir()}


@pytest.fixture(scope="module")
def alone(clips: Clips, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one decoding process makes of several videos."""
    extract = extractor()
    store = Store(tmp_path_factory.mktemp("alone"), extract.recipe)
    assert extract_all(videos(clips, *SEVERAL), extract, store, ignore).failures == []
    return content(store)


@pytest.mark.parametrize("memory", [2 << 30, 1])
def test_features_do_not_depend_on_the_decoders(
    clips: Clips, tmp_path: Path, alone: dict[str, bytes], memory: int
) -> None:
    """Nor on the memory: with too little for one video they come one after the other."""
    extract = Extractor(QUALITY, SEMANTIC, FR, memory=memory)
    store = Store(tmp_path, extract.recipe)
    work = extract_all(videos(clips, *SEVERAL), extract, store, ignore, decoders=4)
    assert content(store) == alone
    assert (work.videos, work.frames) == (6, 25 + 50 + 25 + 1 + 10 + 25)
    assert 0 < work.device_share < 1
    assert 0 <= work.blocked_share < 1
    assert all(seconds > 0 for seconds in work.spent.values())
    # What an extractor did before is not this work's.
    again = extract_all(videos(clips, *SEVERAL), extract, store, ignore)
    assert (again.videos, again.frames, again.device_share) == (0, 0, 0)
    assert not any(again.spent.values())
    assert "6 videos, 136 frames" in str(work)


class Killed(Reader):
    """Its process is killed, or stopped, in the middle of a certain video, so many times."""

    name = "wide.mp4"
    times = 0
    sign = signal.SIGKILL

    def read(self, path: Path, *arguments: Any) -> Iterator[np.ndarray]:
        chunks = super().read(path, *arguments)
        if path.name == Killed.name and Killed.times:
            Killed.times -= 1
            yield next(chunks)
            assert self.pid is not None
            os.kill(self.pid, Killed.sign)
        yield from chunks


def with_wide(clips: Clips) -> list[Video]:
    """One of them with more frames than fit between two processes."""
    path = clips.folder / "wide.mp4"
    if not path.exists():
        ffmpeg("-f", "lavfi", "-i", "testsrc2=s=480x360:r=25:d=2", str(path))
    return [*videos(clips, *SEVERAL), Video("wide.mp4", path, 1.0, "wide")]


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> type[Killed]:
    monkeypatch.setattr(extract_module, "Reader", Killed)
    monkeypatch.setattr(Killed, "times", 0)
    monkeypatch.setattr(Killed, "sign", signal.SIGKILL)
    return Killed


def test_a_video_whose_decoder_died_is_tried_once_more(
    clips: Clips, tmp_path: Path, alone: dict[str, bytes], killed: type[Killed]
) -> None:
    killed.times = 1
    extract = extractor()
    store = Store(tmp_path, extract.recipe)
    work = extract_all(with_wide(clips), extract, store, ignore, decoders=2)
    assert killed.times == 0
    assert work.failures == []
    assert alone.items() < content(store).items()
    assert len(store.read("wide.mp4").quality) == 50


@pytest.mark.parametrize(
    ("sign", "reason"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGSTOP, "longer than 1 s")]
)
def test_a_video_that_takes_its_decoder_down_twice_is_listed(
    clips: Clips,
    tmp_path: Path,
    alone: dict[str, bytes],
    killed: type[Killed],
    sign: signal.Signals,
    reason: str,
) -> None:
    killed.times, killed.sign = 5, sign
    extract = extractor()
    store = Store(tmp_path, extract.recipe)
    work = extract_all(with_wide(clips), extract, store, ignore, decoders=2, timeout_s=1)
    assert [failure.video_id for failure in work.failures] == ["wide.mp4"]
    assert "tried twice" in work.failures[0].reason
    assert work.failures[0].reason.count(reason) == 2
    assert killed.times == 3
    assert content(store) == alone


def test_a_device_that_is_too_small_for_one_video_does_not_end_the_job(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract = extractor()
    compute = extract.compute

    def scarce(frames: np.ndarray, *others: object) -> object:
        if frames.shape[1:3] == (120, 160):
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return compute(frames, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(extract, "compute", scarce)
    store = Store(tmp_path, extract.recipe)
    work = extract_all(videos(clips, *SEVERAL), extract, store, ignore, decoders=2)
    assert [failure.video_id for failure in work.failures] == ["large.mp4"]
    assert "lower features.chunk" in work.failures[0].reason
    assert len(content(store)) == 5


def test_an_error_of_ours_ends_the_job_and_its_processes(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract = extractor()
    store = Store(tmp_path, extract.recipe)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "write", full)
    before = decoding_processes()
    begin = time.monotonic()
    with pytest.raises(OSError, match="No space left"):
        extract_all(videos(clips, *SEVERAL), extract, store, ignore, decoders=3)
    assert time.monotonic() - begin < 30
    assert decoding_processes() <= before
    assert content(store) == {}


def decoding_processes() -> set[str]:
    shown = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True)
    lines = [line.split(None, 2) for line in shown.stdout.splitlines()]
    return {pid for pid, parent, name in lines if parent == f"{os.getpid()}" and "worker" in name}


def test_no_decoders_are_refused(clips: Clips, tmp_path: Path) -> None:
    extract = extractor()
    store = Store(tmp_path, extract.recipe)
    with pytest.raises(ValueError, match=r"features.decoders is -1"):
        extract_all([], extract, store, ignore, decoders=-1)
    # Nothing to do is fine.
    assert extract_all([], extract, store, ignore).videos == 0


def test_failures_keep_no_frames(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand bad videos must not fill the memory: what is kept of each is a line."""
    extract = extractor()
    compute = extract.compute
    seen: list[weakref.ref[np.ndarray]] = []

    def fail(frames: np.ndarray, *others: Any) -> object:
        seen.append(weakref.ref(frames))
        if len(seen) % 2:
            raise VideoError("v", "fails")
        return compute(frames, *others)

    monkeypatch.setattr(extract, "compute", fail)
    alive: list[int] = []

    def count(*_: object) -> None:
        gc.collect()
        alive.append(sum(each() is not None for each in seen))

    work = extract_all(videos(clips, *SEVERAL), extract, Store(tmp_path, extract.recipe), count)
    assert len(work.failures) > 2
    assert max(alive) <= 2


def test_a_decoder_that_dies_and_then_a_device_that_is_full(
    clips: Clips, tmp_path: Path, killed: type[Killed], monkeypatch: pytest.MonkeyPatch
) -> None:
    killed.times = 1
    extract = extractor()
    compute = extract.compute

    def scarce(frames: np.ndarray, *others: Any) -> object:
        if frames.shape[1:3] == (360, 480) and not killed.times and seen:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        seen.append(frames.shape)
        return compute(frames, *others)

    seen: list[tuple[int, ...]] = []
    monkeypatch.setattr(extract, "compute", scarce)
    store = Store(tmp_path, extract.recipe)
    work = extract_all(with_wide(clips)[-1:], extract, store, ignore)
    assert "memory is too small" in work.failures[0].reason


def test_a_file_of_another_video_is_made_anew(clips: Clips, tmp_path: Path) -> None:
    extract = extractor()
    store = Store(tmp_path, extract.recipe)
    every = videos(clips, "black.mp4", "gray.mp4")
    extract_all(every, extract, store, ignore)
    expected = content(store)
    store.path("gray.mp4").write_bytes(store.path("black.mp4").read_bytes())
    assert extract_all(every, extract, store, ignore).videos == 1
    assert content(store) == expected
