"""Missing and undecodable videos, and the fingerprint of a data set."""

import hashlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from a2inet_jax.datasets.verify import fingerprint, verify
from a2inet_jax.datasets.video import Video
from a2inet_jax.video.raw import RawFormat
from a2inet_jax.video.reader import Reader
from tests.clips import Clips


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    return Clips(tmp_path_factory.getbasetemp() / "clips")


def silent(video_id: str, done: int, total: int) -> None:
    pass


def video(path: Path, raw: RawFormat | None = None) -> Video:
    return Video(path.name, path, 1.0, path.name, raw=raw)


@pytest.fixture
def mixed(clips: Clips, tmp_path: Path) -> list[Video]:
    """Return good, missing and undecodable videos in mixed order."""
    raw = tmp_path / "raw.yuv"
    raw.write_bytes(bytes(64 * 48 * 3 // 2 * 2))
    short = tmp_path / "short.yuv"
    short.write_bytes(bytes(64 * 48 * 3 // 2 + 1))
    layout = RawFormat(64, 48)
    (tmp_path / "folder.mp4").mkdir()
    return [
        video(clips["h264.mp4"]),
        video(tmp_path / "gone.mp4"),
        video(clips["text.mp4"]),
        video(raw, layout),
        video(clips["cut_last_byte.mp4"]),
        video(tmp_path / "folder.mp4"),
        video(short, layout),
        video(clips["damaged_frames.mp4"]),
    ]


def test_each_video_is_reported_once(mixed: list[Video]) -> None:
    progress: list[tuple[str, int, int]] = []
    found = verify(mixed, lambda *args: progress.append(args), processes=2)
    assert [v.video_id for v in found.present] == ["h264.mp4", "raw.yuv", "damaged_frames.mp4"]
    assert [v.video_id for v in found.missing] == ["gone.mp4", "folder.mp4"]
    reasons = {v.video_id: reason for v, reason in found.undecodable}
    assert list(reasons) == ["text.mp4", "cut_last_byte.mp4", "short.yuv"]
    assert "1 bytes" in reasons["cut_last_byte.mp4"]
    assert "1 whole frames of 64×48" in reasons["short.yuv"]
    assert found.fingerprint == fingerprint(mixed)
    assert progress[0] == ("", 2, 8)
    assert [done for _, done, _ in progress] == list(range(2, 9))
    assert {name for name, *_ in progress[1:]} == {
        v.video_id for v in (*found.present, *(v for v, _ in found.undecodable))
    }


def test_full_verification_decodes_every_frame(
    mixed: list[Video], monkeypatch: pytest.MonkeyPatch
) -> None:
    requested: dict[str, list[int]] = {}
    read = Reader.read

    def recording_read(
        reader: Reader, path: Path, indices: np.ndarray, **kwargs: Any
    ) -> Iterator[np.ndarray]:
        requested[path.name] = indices.tolist()
        return read(reader, path, indices, **kwargs)

    monkeypatch.setattr(Reader, "read", recording_read)
    found = verify(mixed, silent, full=True, processes=2)
    assert (requested["h264.mp4"], requested["raw.yuv"]) == (list(range(25)), [0, 1])
    assert [v.video_id for v in found.present] == ["h264.mp4", "raw.yuv"]
    reasons = {v.video_id: reason for v, reason in found.undecodable}
    assert "of 25 frames come out" in reasons["damaged_frames.mp4"]


def test_an_empty_data_set() -> None:
    found = verify([], silent)
    assert (found.present, found.missing, found.undecodable) == ([], [], [])


def test_a_crashed_decoder_affects_only_its_video(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / f"{k}.mp4" for k in range(4)]
    for path in paths:
        shutil.copy(clips["h264.mp4"], path)
    request = Reader._request

    def request_and_crash(reader: Reader, path: Path, *rest: object) -> None:
        request(reader, path, *rest)  # type: ignore[arg-type]
        if path.name == "1.mp4":
            assert reader.pid is not None
            os.kill(reader.pid, signal.SIGKILL)

    monkeypatch.setattr(Reader, "_request", request_and_crash)
    found = verify([video(path) for path in paths], silent, processes=1)
    assert [v.path for v in found.present] == [paths[0], paths[2], paths[3]]
    ((bad, reason),) = found.undecodable
    assert (bad.path, "SIGKILL" in reason) == (paths[1], True)


def test_an_interrupt_ends_its_processes(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    readers: list[Reader] = []
    init = Reader.__init__

    def recording_init(reader: Reader, timeout_s: float) -> None:
        readers.append(reader)
        init(reader, timeout_s)

    monkeypatch.setattr(Reader, "__init__", recording_init)
    stopped: list[int] = []
    request = Reader._request

    def request_and_hang(reader: Reader, path: Path, *rest: object) -> None:
        request(reader, path, *rest)  # type: ignore[arg-type]
        if path.name == "large.mp4":
            assert reader.pid is not None
            os.kill(reader.pid, signal.SIGSTOP)
            stopped.append(reader.pid)

    monkeypatch.setattr(Reader, "_request", request_and_hang)

    def interrupt(video_id: str, done: int, total: int) -> None:
        while done and not stopped:
            time.sleep(0.01)
        if done:
            raise KeyboardInterrupt

    several = [video(clips[name]) for name in ("large.mp4", "h264.mp4", "h264.mkv")]
    before = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        verify(several, interrupt, processes=2)
    assert time.monotonic() - before < 20
    assert stopped
    assert [reader.pid for reader in readers] == [None, None]
    assert not [
        t for t in threading.enumerate() if t.name.startswith("ThreadPool") and t.is_alive()
    ]


def test_the_fingerprint_depends_on_ids_labels_and_contents() -> None:
    one, two = Video("b", Path("b"), 0.1, "b"), Video("a", Path("a"), 2.0, "a")
    assert fingerprint([one, two]) == hashlib.sha256(b"a,2.0,a\nb,0.1,b\n").hexdigest()
    assert fingerprint([two, replace(one, path=Path("c"), subset="test")]) == fingerprint(
        [one, two]
    )
    assert fingerprint([two, replace(one, mos=float(np.nextafter(0.1, 1)))]) != fingerprint(
        [one, two]
    )
    assert fingerprint([two, replace(one, video_id="c")]) != fingerprint([one, two])
    assert fingerprint([two, replace(one, reference_id="a")]) != fingerprint([one, two])
