import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from a2inet_jax.errors import DecoderDiedError, VideoError
from a2inet_jax.video.decode import Decoder
from a2inet_jax.video.raw import RawFormat
from a2inet_jax.video.reader import Reader, cancelling_pool
from tests.clips import Clips


@pytest.fixture
def reader() -> Iterator[Reader]:
    with Reader(timeout_s=30) as reader:
        yield reader


def process_id(reader: Reader) -> int:
    assert reader.pid is not None
    return reader.pid


def check_still_reads(reader: Reader, path: Path) -> None:
    assert reader.open(path).num_frames == 50
    assert sum(len(frames) for frames in reader.read(path, np.arange(50))) == 50


def test_frames_match_the_decoder(clips: Clips, reader: Reader, tmp_path: Path) -> None:
    path = clips["large.mp4"]
    decoder = Decoder(path)
    indices = np.array([0, 1, 5, 30, 49])
    info = reader.open(path)
    assert (info.num_frames, info.height, info.width) == (50, 120, 160)
    np.testing.assert_array_equal(info.timestamps, decoder.info.timestamps)
    chunks = list(reader.read(path, indices, chunk=2))
    assert [len(chunk) for chunk in chunks] == [2, 2, 1]
    expected = np.stack(list(decoder.read(indices.tolist())))
    np.testing.assert_array_equal(np.concatenate(chunks), expected)
    # Again, without `open`, by the same process.
    pid = process_id(reader)
    np.testing.assert_array_equal(np.concatenate(list(reader.read(path, indices))), expected)
    assert process_id(reader) == pid


def test_chunks_own_their_memory(clips: Clips, reader: Reader) -> None:
    chunks = list(reader.read(clips["large.mp4"], np.arange(16), chunk=8))
    assert all(chunk.flags.writeable and chunk.flags.owndata for chunk in chunks)
    assert not np.array_equal(chunks[0], chunks[1])


def test_process_survives_bad_files(
    clips: Clips, reader: Reader, capfd: pytest.CaptureFixture[str]
) -> None:
    check_still_reads(reader, clips["large.mp4"])
    pid = process_id(reader)
    for name in ("text.mp4", "damaged_index.mp4", "jpeg.mp4"):
        with pytest.raises(VideoError, match=r"cannot be decoded|is a picture") as caught:
            reader.open(clips[name])
        assert not isinstance(caught.value, DecoderDiedError)
    with pytest.raises(VideoError, match=r"cannot be decoded .[0-9]+ of 25 frames"):
        list(reader.read(clips["damaged_frames.mp4"], np.arange(25), chunk=2))
    check_still_reads(reader, clips["large.mp4"])
    assert process_id(reader) == pid
    assert capfd.readouterr() == ("", "")


def test_killed_process_is_replaced(clips: Clips, reader: Reader) -> None:
    path = clips["large.mp4"]
    chunks = reader.read(path, np.arange(50), chunk=5)
    next(chunks)
    pid = process_id(reader)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(DecoderDiedError, match=r"large.mp4: decoding crashed .*SIGKILL"):
        list(chunks)
    check_still_reads(reader, path)
    assert process_id(reader) != pid


def test_process_killed_while_idle_is_replaced(clips: Clips, reader: Reader) -> None:
    check_still_reads(reader, clips["large.mp4"])
    os.kill(process_id(reader), signal.SIGKILL)
    time.sleep(0.2)
    check_still_reads(reader, clips["large.mp4"])


def test_hanging_process_is_replaced(clips: Clips) -> None:
    path = clips["large.mp4"]
    with Reader(timeout_s=1.5) as reader:
        reader.open(path)
        pid = process_id(reader)
        os.kill(pid, signal.SIGSTOP)
        before = time.monotonic()
        reason = r"large.mp4: decoding took longer than 1.5 s \(features.timeout_s\)"
        with pytest.raises(DecoderDiedError, match=reason):
            list(reader.read(path, np.arange(50)))
        assert time.monotonic() - before < 5
        check_still_reads(reader, path)
        assert process_id(reader) != pid


def test_kill_frees_a_waiting_thread(clips: Clips, reader: Reader) -> None:
    path = clips["large.mp4"]
    reader.open(path)
    os.kill(process_id(reader), signal.SIGSTOP)
    before = time.monotonic()
    threading.Timer(0.3, reader.kill).start()
    with pytest.raises(DecoderDiedError, match=r"large.mp4: decoding was stopped"):
        list(reader.read(path, np.arange(50)))
    assert time.monotonic() - before < 5
    check_still_reads(reader, path)


def test_kill_while_idle(clips: Clips, reader: Reader) -> None:
    # Nothing to kill yet.
    reader.kill()
    check_still_reads(reader, clips["large.mp4"])
    os.kill(process_id(reader), signal.SIGSTOP)
    reader.kill()
    assert os.waitid(os.P_PID, process_id(reader), os.WEXITED | os.WNOWAIT) is not None
    check_still_reads(reader, clips["large.mp4"])


def test_kill_between_two_chunks(clips: Clips, reader: Reader) -> None:
    chunks = reader.read(clips["large.mp4"], np.arange(50), chunk=5)
    next(chunks)
    reader.kill()
    with pytest.raises(DecoderDiedError, match="decoding was stopped"):
        list(chunks)
    check_still_reads(reader, clips["large.mp4"])


def test_leaving_a_pool_cancels_what_waits_and_kills_what_runs(
    clips: Clips, reader: Reader
) -> None:
    path = clips["large.mp4"]
    reader.open(path)
    os.kill(process_id(reader), signal.SIGSTOP)
    num_threads = threading.active_count()
    with cancelling_pool(1, [reader]) as submit:
        running, waiting = (submit(reader.open, path) for _ in range(2))
        while not running.running():
            time.sleep(0.01)
    assert isinstance(running.exception(timeout=0), DecoderDiedError)
    assert waiting.cancelled()
    assert threading.active_count() == num_threads


def test_leaving_a_pool_without_readers_waits_for_what_runs() -> None:
    started, ended = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        time.sleep(0.3)
        ended.set()

    with cancelling_pool(1) as submit:
        assert submit(max, 3, 5).result() == 5
        submit(work)
        assert started.wait(30)
    assert ended.is_set()


def test_raw_video(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "gray.yuv"
    planes = np.repeat(np.arange(10, dtype=np.uint8), 40 * 50)
    path.write_bytes(planes.tobytes())
    raw = RawFormat(50, 40, "gray", frame_rate=10)
    info = reader.open(path, raw)
    assert (info.num_frames, info.height, info.width) == (10, 40, 50)
    assert info.timestamps[-1] == pytest.approx(0.9)
    chunks = list(reader.read(path, np.array([1, 8, 9]), chunk=2, raw=raw))
    assert [chunk.shape for chunk in chunks] == [(2, 40, 50, 3), (1, 40, 50, 3)]
    # The same file in another format is another video.
    other = RawFormat(40, 50, "gray")
    assert next(reader.read(path, np.array([0]), raw=other)).shape == (1, 50, 40, 3)
    with pytest.raises(VideoError, match="holds 2 whole frames"):
        reader.open(path, RawFormat(100, 99, "gray"))


def test_decoding_and_blocked_time_are_reported(reader: Reader, tmp_path: Path) -> None:
    path, raw = tmp_path / "gray.yuv", RawFormat(1000, 1000, "gray")
    with path.open("wb") as file:
        file.truncate(6_000_000)
    before = time.monotonic()
    reader.open(path, raw)
    assert 0 < reader.decoding_s < time.monotonic() - before
    assert reader.blocked_s < 0.1
    opened = reader.decoding_s
    # More frames than fit into the socket's buffer.
    for _ in reader.read(path, np.arange(6), chunk=2, raw=raw):
        time.sleep(0.5)
    assert opened < reader.decoding_s
    blocked = reader.blocked_s
    assert 0.2 < blocked < 1.0
    # Reports the time of the last chunk.
    reader.open(path, raw)
    assert reader.blocked_s > blocked + 0.2
    assert reader.decoding_s + reader.blocked_s < time.monotonic() - before


def test_abandoned_read_does_not_disturb_the_next(clips: Clips, reader: Reader) -> None:
    path = clips["large.mp4"]
    abandoned = reader.read(path, np.arange(50), chunk=5)
    next(abandoned)
    first = next(reader.read(clips["h264.mp4"], np.arange(1)))
    assert first.shape == (1, 80, 128, 3)
    with pytest.raises(RuntimeError, match="another request"):
        next(abandoned)


def test_file_names_are_literal(clips: Clips, reader: Reader, tmp_path: Path) -> None:
    for name in ("-i.ts", "a b%20c:d'é.ts", "concat:x|y.ts"):
        path = tmp_path / name
        path.write_bytes(clips["transport.ts"].read_bytes())
        assert reader.open(path).num_frames == 25


def test_close_ends_the_process(clips: Clips) -> None:
    reader = Reader()
    reader.open(clips["transport.ts"])
    pid = process_id(reader)
    reader.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("indices", [[], [-1, 2], [3, 2]])
def test_bad_indices_raise_at_once(clips: Clips, reader: Reader, indices: list[int]) -> None:
    with pytest.raises(ValueError, match="ascending"):
        reader.read(clips["h264.mp4"], np.array(indices, int))
    assert reader.pid is None
