import dataclasses
import gc
import os
import signal
import subprocess
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from a2inet_jax import files
from a2inet_jax.datasets.video import Video, VideoFile
from a2inet_jax.errors import (
    ConfigError,
    DecoderDiedError,
    StoreError,
    VersionError,
    VideoError,
)
from a2inet_jax.features import extract as extract_module
from a2inet_jax.features.extract import Failure, extract_all
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.network import Network
from a2inet_jax.features.record import check, remove
from a2inet_jax.features.store import Store, matching_records, open_stores
from a2inet_jax.training.data import TrainingData
from a2inet_jax.video.reader import Reader
from a2inet_jax.video.sampling import FR, Sampling
from tests.clips import Clips, run_ffmpeg
from tests.extraction_inputs import MOTION, QUALITY, SEMANTIC, extractor, pair
from tests.ray_inputs import content
from tests.store_inputs import assert_equal


def ignore(video_id: str, done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    return Clips(tmp_path_factory.getbasetemp() / "clips")


def videos(clips: Clips, *names: str) -> list[Video]:
    return [Video(name, clips.folder / name, 1.0, name) for name in names if clips[name]]


def stores_in(folder: Path) -> list[Store]:
    return list(open_stores(folder, extractor().recipes).values())


def test_bad_videos_are_listed_and_the_others_extracted(clips: Clips, tmp_path: Path) -> None:
    all_videos = videos(clips, "h264.mp4", "text.mp4", "two_frames.mp4", "cut.mkv")
    calls: list[tuple[str, int, int]] = []
    work = extract_all(
        all_videos, extractor(), tmp_path, lambda *call: calls.append(call), num_decoders=1
    )
    failures = work.failures
    assert [failure.video_id for failure in failures] == ["text.mp4", "cut.mkv"]
    assert failures[1] == Failure("cut.mkv", clips["cut.mkv"], failures[1].reason)
    assert "cut short" in failures[1].reason
    assert calls[0] == ("", 0, 4)
    assert calls[-1] == ("cut.mkv", 4, 4)
    for store in stores_in(tmp_path):
        assert store.missing(v.video_id for v in all_videos) == ["text.mp4", "cut.mkv"]


def test_a_stopped_job_resumes(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_videos = videos(clips, "h264.mp4", "black.mp4", "two_frames.mp4")
    stopped = threading.Event()
    stopping = extractor()
    extract = stopping.extract

    def stop(video_id: str, done: int, total: int) -> None:
        if done == 2:
            stopped.set()
            raise KeyboardInterrupt

    def extract_until_stopped(video: VideoFile, *rest: Any) -> Any:
        if video.video_id == "two_frames.mp4":
            stopped.wait()
            raise DecoderDiedError(video.path, "killed")
        return extract(video, *rest)

    monkeypatch.setattr(stopping, "extract", extract_until_stopped)
    folder = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        extract_all(all_videos, stopping, folder, stop)
    for store in stores_in(folder):
        assert store.missing(v.video_id for v in all_videos) == ["two_frames.mp4"]
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}

    calls: list[tuple[str, int, int]] = []
    work = extract_all(all_videos, extractor(), folder, lambda *call: calls.append(call))
    assert work.failures == []
    assert calls == [("", 2, 3), ("two_frames.mp4", 3, 3)]
    extract_all(all_videos, extractor(), tmp_path / "uninterrupted", ignore)
    assert all(path.stat().st_mtime_ns == mtime for path, mtime in before.items())
    for again, uninterrupted in zip(stores_in(folder), stores_in(tmp_path / "uninterrupted")):
        for video in all_videos:
            assert_equal(again.read(video.video_id), uninterrupted.read(video.video_id))


def test_replaced_videos_and_damaged_files_are_extracted_again(
    clips: Clips, tmp_path: Path
) -> None:
    path = tmp_path / "v.mp4"
    video = Video("v", path, 1.0, "v")
    extract, folder = extractor(), tmp_path / "store"
    quality, semantic = stores_in(folder)
    for name, frames in (("h264.mp4", 25), ("two_frames.mp4", 2)):
        path.write_bytes(clips[name].read_bytes())
        assert extract_all([video], extract, folder, ignore).failures == []
        for store in (quality, semantic):
            assert store.record("v").frames == frames
            assert store.record("v").source_sha256 == files.sha256(path)
    quality.path("v").write_bytes(b"damaged")
    assert extract_all([video], extract, folder, ignore).failures == []
    assert quality.record("v").frames == 2
    path.unlink()
    assert extract_all([video], extract, folder, ignore).failures == []
    assert quality.record("v").frames == 2


CLIP_NAMES = ("h264.mp4", "large.mp4", "rotate90.mp4", "one_frame.mp4", "black.mp4", "gray.mp4")


@pytest.fixture(scope="module")
def expected(clips: Clips, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Contents of the stores that a single decoding process makes of `CLIP_NAMES`."""
    folder = tmp_path_factory.mktemp("expected")
    assert extract_all(videos(clips, *CLIP_NAMES), extractor(), folder, ignore).failures == []
    return content(folder)


@pytest.mark.parametrize("memory_bytes", [2 << 30, 1])
def test_features_do_not_depend_on_the_decoders(
    clips: Clips, tmp_path: Path, expected: dict[str, bytes], memory_bytes: int
) -> None:
    """Nor on the memory: with too little for two videos, they are extracted one after the other."""
    extract = Extractor(pair(), memory_bytes=memory_bytes)
    work = extract_all(videos(clips, *CLIP_NAMES), extract, tmp_path, ignore, num_decoders=4)
    assert content(tmp_path) == expected
    assert (work.videos, work.frames) == (6, 25 + 50 + 25 + 1 + 10 + 25)
    assert 0 < work.device_share < 1
    assert 0 <= work.blocked_share < 1
    assert all(seconds > 0 for seconds in work.spent.values())
    # Work that the extractor did before is not counted.
    again = extract_all(videos(clips, *CLIP_NAMES), extract, tmp_path, ignore)
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
    work = extract_all(with_wide(clips), extract, tmp_path, ignore, num_decoders=2)
    assert interrupted.times == 0
    assert work.failures == []
    assert expected.items() < content(tmp_path).items()
    assert [store.record("wide.mp4").frames for store in stores_in(tmp_path)] == [50, 50]


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
    work = extract_all(with_wide(clips), extract, tmp_path, ignore, num_decoders=2, timeout_s=1)
    assert [failure.video_id for failure in work.failures] == ["wide.mp4"]
    assert "tried twice" in work.failures[0].reason
    assert work.failures[0].reason.count(reason) == 2
    assert interrupted.times == 3
    assert content(tmp_path) == expected


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
    work = extract_all(videos(clips, *CLIP_NAMES), extract, tmp_path, ignore, num_decoders=2)
    assert [failure.video_id for failure in work.failures] == ["large.mp4"]
    assert "lower features.chunk_frames" in work.failures[0].reason
    assert len(content(tmp_path)) == 2 * 5


def test_an_error_of_no_video_ends_the_job_and_its_processes(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract = extractor()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "write", full)
    before = decoding_processes()
    start = time.monotonic()
    with pytest.raises(OSError, match="No space left"):
        extract_all(videos(clips, *CLIP_NAMES), extract, tmp_path, ignore, num_decoders=3)
    assert time.monotonic() - start < 30
    assert decoding_processes() <= before
    assert content(tmp_path) == {}


def decoding_processes() -> set[str]:
    shown = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True)
    lines = [line.split(None, 2) for line in shown.stdout.splitlines()]
    return {pid for pid, parent, name in lines if parent == f"{os.getpid()}" and "worker" in name}


def test_zero_decoders_are_refused(clips: Clips, tmp_path: Path) -> None:
    extract = extractor()
    with pytest.raises(ConfigError, match=r"features.num_decoders is -1"):
        extract_all([], extract, tmp_path, ignore, num_decoders=-1)
    # No videos are fine.
    assert extract_all([], extract, tmp_path, ignore).videos == 0


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

    work = extract_all(videos(clips, *CLIP_NAMES), extract, tmp_path, count)
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
    work = extract_all(with_wide(clips)[-1:], extract, tmp_path, ignore)
    assert "memory is too small" in work.failures[0].reason


def test_a_file_with_a_different_video_is_extracted_again(clips: Clips, tmp_path: Path) -> None:
    extract = extractor()
    all_videos = videos(clips, "black.mp4", "gray.mp4")
    extract_all(all_videos, extract, tmp_path, ignore)
    expected = content(tmp_path)
    for store in stores_in(tmp_path):
        store.path("gray.mp4").write_bytes(store.path("black.mp4").read_bytes())
    assert extract_all(all_videos, extract, tmp_path, ignore).videos == 1
    assert content(tmp_path) == expected


SMALL = Sampling(short_side=64, patches=2, patch_size=48)


class RecordingExtractor(Extractor):
    """An extractor that records the backbones that are run, and the videos that are decoded."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.computed: set[str] = set()
        self.decoded: list[str] = []

    def extract(self, video: VideoFile, *arguments: Any, **others: Any) -> Any:
        self.decoded.append(video.video_id)
        return super().extract(video, *arguments, **others)

    def compute(self, frames: Any, positions: Any, device_index: int = 0) -> Any:
        self.computed |= {self.networks[name].backbone.name for name in positions}
        return super().compute(frames, positions, device_index)


def computed(
    video: VideoFile, folder: Path, quality: Network, semantic: Network, sampling: Sampling = FR
) -> set[str]:
    """Extract a pair of networks, and return the backbones that were run."""
    extract = RecordingExtractor(pair(quality, semantic, sampling))
    assert extract_all([video], extract, folder, ignore).failures == []
    assert len(extract.decoded) == bool(extract.computed)  # one decoding for all that is lacking
    return extract.computed


@pytest.fixture
def video(clips: Clips) -> VideoFile:
    return VideoFile("v", clips["h264.mp4"])


@pytest.mark.parametrize("sampling", [FR, SMALL], ids=["FR", "PR"])
def test_what_another_experiment_has_stored_is_not_computed_again(
    video: VideoFile, tmp_path: Path, sampling: Sampling
) -> None:
    shared = tmp_path / "shared"
    assert computed(video, shared, QUALITY, SEMANTIC, sampling) == {"quality", "semantic"}
    assert computed(video, shared, QUALITY, MOTION, sampling) == {"motion"}
    assert computed(video, shared, QUALITY, MOTION, sampling) == set()
    computed(video, tmp_path / "alone", QUALITY, MOTION, sampling)
    found = content(shared)
    assert len(found) == 3
    assert content(tmp_path / "alone").items() < found.items()


def test_a_network_is_run_once_for_both_roles(video: VideoFile, tmp_path: Path) -> None:
    computed(video, tmp_path / "a", QUALITY, SEMANTIC)
    computed(video, tmp_path / "a", QUALITY, MOTION)
    # Both are stored now, so that nothing is decoded.
    assert computed(video, tmp_path / "a", SEMANTIC, MOTION) == set()
    assert computed(video, tmp_path / "a", SEMANTIC, QUALITY) == set()
    # Two streams of one recipe have one store.
    assert computed(video, tmp_path / "b", MOTION, MOTION) == {"motion"}
    assert len(content(tmp_path / "b")) == 1
    assert content(tmp_path / "b").items() < content(tmp_path / "a").items()


def test_networks_of_different_views_or_weights_are_computed(
    video: VideoFile, tmp_path: Path
) -> None:
    computed(video, tmp_path, QUALITY, SEMANTIC)
    for sampling, expected in (
        (Sampling(frames=3), {"quality", "semantic"}),
        (Sampling(short_side=64), {"semantic"}),
        (Sampling(patches=2, patch_size=40), {"quality"}),
        (dataclasses.replace(SMALL, short_side=80), {"quality", "semantic"}),
    ):
        assert computed(video, tmp_path, QUALITY, SEMANTIC, sampling) == expected
    other_weights = dataclasses.replace(QUALITY, sha256="another")
    assert computed(video, tmp_path, other_weights, MOTION) == {"quality", "motion"}


def test_a_different_file_of_the_same_name_is_extracted_by_every_network(
    clips: Clips, tmp_path: Path
) -> None:
    folder, path = tmp_path / "shared", tmp_path / "v.mp4"
    path.write_bytes(clips["h264.mp4"].read_bytes())
    computed(VideoFile("v", path), folder, QUALITY, SEMANTIC)
    path.write_bytes(clips["two_frames.mp4"].read_bytes())
    assert computed(VideoFile("v", path), folder, QUALITY, MOTION) == {"quality", "motion"}
    quality, semantic = stores_in(folder)
    assert quality.record("v").frames == 2
    # Until it is extracted again, what the third network has cannot be used beside the others.
    with pytest.raises(StoreError, match="different frames"):
        matching_records([quality, semantic], "v")
    assert computed(VideoFile("v", path), folder, QUALITY, SEMANTIC) == {"semantic"}
    assert [record.frames for record in matching_records([quality, semantic], "v")] == [2, 2]


def test_damaged_features_are_not_reused(video: VideoFile, tmp_path: Path) -> None:
    computed(video, tmp_path, QUALITY, SEMANTIC)
    quality, _ = stores_in(tmp_path)
    whole = quality.path("v").read_bytes()
    quality.path("v").write_bytes(whole[:-9])
    assert computed(video, tmp_path, QUALITY, MOTION) == {"quality", "motion"}
    assert quality.path("v").read_bytes() == whole
    # With a wrong checksum they are not read, and extracted again after a repair.
    quality.path("v").write_bytes(whole[:-9] + bytes(9))
    with pytest.raises(StoreError, match="SHA-256 differs"):
        TrainingData.of_stores([quality], ["v"], [1.0]).read(0)
    assert remove(check(quality.path("v")))
    assert computed(video, tmp_path, QUALITY, MOTION) == {"quality"}
    assert quality.path("v").read_bytes() == whole


def test_a_folder_of_an_earlier_version_is_refused(clips: Clips, tmp_path: Path) -> None:
    (tmp_path / "h264.mp4.0123456789abcdef.safetensors").touch()
    with pytest.raises(VersionError, match="earlier version"):
        extract_all(videos(clips, "h264.mp4"), extractor(), tmp_path, ignore)
