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
from a2inet_jax.errors import ConfigError, VideoError
from a2inet_jax.features import extract as extract_module
from a2inet_jax.features.extract import Failure, extract_all
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.store import Store, VideoFeatures
from a2inet_jax.video.reader import Reader
from a2inet_jax.video.sampling import FR, Sampling
from tests.clips import Clips, run_ffmpeg
from tests.extraction_inputs import QUALITY, SEMANTIC, extractor


def ignore(video_id: str, done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    return Clips(tmp_path_factory.getbasetemp() / "clips")


def videos(clips: Clips, *names: str) -> list[Video]:
    return [Video(name, clips.folder / name, 1.0, name) for name in names if clips[name]]


def equal(one: VideoFeatures, other: VideoFeatures) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(vars(one).values(), vars(other).values()))


def test_bad_videos_are_listed_and_the_others_extracted(clips: Clips, tmp_path: Path) -> None:
    all_videos = videos(clips, "h264.mp4", "text.mp4", "two_frames.mp4", "cut.mkv")
    calls: list[tuple[str, int, int]] = []
    extract = extractor()
    store = Store(tmp_path, extract.recipe)
    work = extract_all(all_videos, extract, store, lambda *call: calls.append(call), num_decoders=1)
    failures = work.failures
    assert [failure.video_id for failure in failures] == ["text.mp4", "cut.mkv"]
    assert failures[1] == Failure("cut.mkv", clips["cut.mkv"], failures[1].reason)
    assert "cut short" in failures[1].reason
    assert calls[0] == ("", 0, 4)
    assert calls[-1] == ("cut.mkv", 4, 4)
    assert store.missing([video.video_id for video in all_videos]) == ["text.mp4", "cut.mkv"]


def test_a_stopped_job_resumes(clips: Clips, tmp_path: Path) -> None:
    all_videos = videos(clips, "h264.mp4", "black.mp4", "two_frames.mp4")

    def stop(video_id: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    extract = extractor()
    store = Store(tmp_path / "stopped", extract.recipe)
    with pytest.raises(KeyboardInterrupt):
        extract_all(all_videos, extract, store, stop)
    assert store.missing([video.video_id for video in all_videos]) == ["two_frames.mp4"]
    before = {path: path.stat().st_mtime_ns for path in store.folder.iterdir()}

    extract = extractor()
    again = Store(tmp_path / "stopped", extract.recipe)
    calls: list[tuple[str, int, int]] = []
    assert extract_all(all_videos, extract, again, lambda *call: calls.append(call)).failures == []
    assert calls == [("", 2, 3), ("two_frames.mp4", 3, 3)]
    uninterrupted = Store(tmp_path / "uninterrupted", extract.recipe)
    extract_all(all_videos, extract, uninterrupted, ignore)
    assert all(path.stat().st_mtime_ns == mtime for path, mtime in before.items())
    for video in all_videos:
        assert equal(again.read(video.video_id), uninterrupted.read(video.video_id))


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


def test_a_store_with_a_different_recipe_is_refused(clips: Clips, tmp_path: Path) -> None:
    store = Store(tmp_path, extractor(Sampling(frames=3)).recipe)
    with pytest.raises(ValueError, match="sampling"):
        extract_all([], extractor(), store, ignore)


CLIP_NAMES = ("h264.mp4", "large.mp4", "rotate90.mp4", "one_frame.mp4", "black.mp4", "gray.mp4")


def content(store: Store) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.folder.iterdir()}


@pytest.fixture(scope="module")
def expected(clips: Clips, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Contents of the store that a single decoding process makes of `CLIP_NAMES`."""
    extract = extractor()
    store = Store(tmp_path_factory.mktemp("expected"), extract.recipe)
    assert extract_all(videos(clips, *CLIP_NAMES), extract, store, ignore).failures == []
    return content(store)


@pytest.mark.parametrize("memory_bytes", [2 << 30, 1])
def test_features_do_not_depend_on_the_decoders(
    clips: Clips, tmp_path: Path, expected: dict[str, bytes], memory_bytes: int
) -> None:
    """Nor on the memory: with too little for two videos, they are extracted one after the other."""
    extract = Extractor(QUALITY, SEMANTIC, FR, memory_bytes=memory_bytes)
    store = Store(tmp_path, extract.recipe)
    work = extract_all(videos(clips, *CLIP_NAMES), extract, store, ignore, num_decoders=4)
    assert content(store) == expected
    assert (work.videos, work.frames) == (6, 25 + 50 + 25 + 1 + 10 + 25)
    assert 0 < work.device_share < 1
    assert 0 <= work.blocked_share < 1
    assert all(seconds > 0 for seconds in work.spent.values())
    # Work that the extractor did before is not counted.
    again = extract_all(videos(clips, *CLIP_NAMES), extract, store, ignore)
    assert (again.videos, again.frames, again.device_share) == (0, 0, 0)
    assert not any(again.spent.values())
    assert "6 videos, 136 frames" in str(work)


class InterruptedReader(Reader):
    """A reader whose process gets a signal in the middle of a certain video, so many times."""

    name = "wide.mp4"
    times = 0
    signal_number = signal.SIGKILL

    def read(self, path: Path, *arguments: Any) -> Iterator[np.ndarray]:
        chunks = super().read(path, *arguments)
        if path.name == InterruptedReader.name and InterruptedReader.times:
            InterruptedReader.times -= 1
            yield next(chunks)
            assert self.pid is not None
            os.kill(self.pid, InterruptedReader.signal_number)
        yield from chunks


def with_wide(clips: Clips) -> list[Video]:
    """Return `CLIP_NAMES` and one video more, with more frames than fit into the socket of its process."""
    path = clips.folder / "wide.mp4"
    if not path.exists():
        run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=480x360:r=25:d=2", str(path))
    return [*videos(clips, *CLIP_NAMES), Video("wide.mp4", path, 1.0, "wide")]


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> type[InterruptedReader]:
    monkeypatch.setattr(extract_module, "Reader", InterruptedReader)
    monkeypatch.setattr(InterruptedReader, "times", 0)
    monkeypatch.setattr(InterruptedReader, "signal_number", signal.SIGKILL)
    return InterruptedReader


def test_a_video_whose_decoder_died_is_tried_again(
    clips: Clips, tmp_path: Path, expected: dict[str, bytes], interrupted: type[InterruptedReader]
) -> None:
    interrupted.times = 1
    extract = extractor()
    store = Store(tmp_path, extract.recipe)
    work = extract_all(with_wide(clips), extract, store, ignore, num_decoders=2)
    assert interrupted.times == 0
    assert work.failures == []
    assert expected.items() < content(store).items()
    assert len(store.read("wide.mp4").quality) == 50


@pytest.mark.parametrize(
    ("signal_number", "reason"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGSTOP, "longer than 1 s")]
)
def test_a_video_whose_decoder_dies_twice_is_listed(
    clips: Clips,
    tmp_path: Path,
    expected: dict[str, bytes],
    interrupted: type[InterruptedReader],
    signal_number: signal.Signals,
    reason: str,
) -> None:
    interrupted.times, interrupted.signal_number = 5, signal_number
    extract = extractor()
    store = Store(tmp_path, extract.recipe)
    work = extract_all(with_wide(clips), extract, store, ignore, num_decoders=2, timeout_s=1)
    assert [failure.video_id for failure in work.failures] == ["wide.mp4"]
    assert "tried twice" in work.failures[0].reason
    assert work.failures[0].reason.count(reason) == 2
    assert interrupted.times == 3
    assert content(store) == expected


def test_too_little_device_memory_for_one_video_does_not_end_the_job(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract = extractor()
    compute = extract.compute

    def run_out_of_memory(frames: np.ndarray, *others: object) -> object:
        if frames.shape[1:3] == (120, 160):
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return compute(frames, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(extract, "compute", run_out_of_memory)
    store = Store(tmp_path, extract.recipe)
    work = extract_all(videos(clips, *CLIP_NAMES), extract, store, ignore, num_decoders=2)
    assert [failure.video_id for failure in work.failures] == ["large.mp4"]
    assert "lower features.chunk_frames" in work.failures[0].reason
    assert len(content(store)) == 5


def test_an_error_of_no_video_ends_the_job_and_its_processes(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract = extractor()
    store = Store(tmp_path, extract.recipe)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "write", full)
    before = decoding_processes()
    start = time.monotonic()
    with pytest.raises(OSError, match="No space left"):
        extract_all(videos(clips, *CLIP_NAMES), extract, store, ignore, num_decoders=3)
    assert time.monotonic() - start < 30
    assert decoding_processes() <= before
    assert content(store) == {}


def decoding_processes() -> set[str]:
    shown = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True)
    lines = [line.split(None, 2) for line in shown.stdout.splitlines()]
    return {pid for pid, parent, name in lines if parent == f"{os.getpid()}" and "worker" in name}


def test_zero_decoders_are_refused(clips: Clips, tmp_path: Path) -> None:
    extract = extractor()
    store = Store(tmp_path, extract.recipe)
    with pytest.raises(ConfigError, match=r"features.num_decoders is -1"):
        extract_all([], extract, store, ignore, num_decoders=-1)
    # No videos are fine.
    assert extract_all([], extract, store, ignore).videos == 0


def test_failures_keep_no_frames(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand bad videos must not fill the memory: a line is kept of each."""
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

    work = extract_all(videos(clips, *CLIP_NAMES), extract, Store(tmp_path, extract.recipe), count)
    assert len(work.failures) > 2
    assert max(alive) <= 2


def test_too_little_device_memory_after_a_decoder_died(
    clips: Clips,
    tmp_path: Path,
    interrupted: type[InterruptedReader],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    interrupted.times = 1
    extract = extractor()
    compute = extract.compute

    def run_out_of_memory(frames: np.ndarray, *others: Any) -> object:
        if frames.shape[1:3] == (360, 480) and not interrupted.times and seen:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        seen.append(frames.shape)
        return compute(frames, *others)

    seen: list[tuple[int, ...]] = []
    monkeypatch.setattr(extract, "compute", run_out_of_memory)
    store = Store(tmp_path, extract.recipe)
    work = extract_all(with_wide(clips)[-1:], extract, store, ignore)
    assert "memory is too small" in work.failures[0].reason


def test_a_file_with_a_different_video_is_extracted_again(clips: Clips, tmp_path: Path) -> None:
    extract = extractor()
    store = Store(tmp_path, extract.recipe)
    all_videos = videos(clips, "black.mp4", "gray.mp4")
    extract_all(all_videos, extract, store, ignore)
    expected = content(store)
    store.path("gray.mp4").write_bytes(store.path("black.mp4").read_bytes())
    assert extract_all(all_videos, extract, store, ignore).videos == 1
    assert content(store) == expected
