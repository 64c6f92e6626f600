"""Frames that are decoded without the rest of their video match those of sequential decoding."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from a2inet_jax.errors import VideoError
from a2inet_jax.video import container, seek
from a2inet_jax.video.container import Packets
from a2inet_jax.video.decode import Decoder
from a2inet_jax.video.ffmpeg import FramePipe
from a2inet_jax.video.sampling import frame_indices
from a2inet_jax.video.seek import KeyFrame, OutputFrame, SeekPlan, Slots
from tests.clips import Clips, run_ffmpeg

_SOURCE = ["-f", "lavfi", "-i", "testsrc2=s=96x80:r=25:d=24", "-pix_fmt", "yuv420p"]
_X264 = ["-c:v", "libx264", "-x264-params"]
_X265 = ["-c:v", "libx265", "-x265-params"]
_VP9 = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "12"]
_AV1 = ["-c:v", "libsvtav1", "-preset", "12", "-g", "12", "-svtav1-params", "lp=1"]
_MPEG4 = ["-c:v", "mpeg4", "-bf", "2", "-g", "12"]
_MPEG2 = ["-c:v", "mpeg2video", "-bf", "2", "-g", "12", "-q:v", "3"]
_VARIABLE = "select='not(mod(n,5))+lt(mod(n,50),40)',settb=1/1000"
_CLOSED = ["-c:v", "libx264", "-g", "12", "-bf", "3"]
# Long videos of which single groups of frames can be decoded.
SEEKABLE = {
    "h264.mp4": _CLOSED,
    "h264.ts": _CLOSED,
    "fragments.mp4": [*_CLOSED, "-movflags", "frag_keyframe+empty_moov"],
    "h264, pyramid.mkv": [*_X264, "keyint=12:bframes=5:b-pyramid=normal:ref=5"],
    "h264, open.mp4": [*_X264, "open-gop=1:keyint=12:bframes=3"],
    "h264, open.mkv": [*_X264, "open-gop=1:keyint=12:bframes=3"],
    "h264, 10 bit.mp4": ["-c:v", "libx264", "-g", "12", "-pix_fmt", "yuv420p10le"],
    "h264, variable.mp4": ["-vf", _VARIABLE, "-fps_mode", "vfr", *_CLOSED],
    "hevc, open.mp4": [*_X265, "log-level=none:open-gop=1:keyint=12:bframes=3"],
    "hevc, open.mkv": [*_X265, "log-level=none:open-gop=1:keyint=12:bframes=3"],
    "hevc, closed.mp4": [*_X265, "log-level=none:open-gop=0:keyint=12:bframes=3"],
    "vp9.webm": _VP9,
    "vp9.mp4": _VP9,
    "av1.mp4": _AV1,
    "av1.webm": _AV1,
    "mpeg4.mp4": _MPEG4,
    "mpeg4.mkv": _MPEG4,
    "mpeg2.mkv": _MPEG2,
    "mpeg2.mpg": _MPEG2,
    "ffv1.mkv": ["-c:v", "ffv1"],
    "rotate90.mp4": _CLOSED,
}
# Long videos that are decoded as a whole: only key frames, one group, hidden frames, no timestamps.
NOT_SEEKABLE = {
    "mjpeg.avi": ["-c:v", "mjpeg", "-q:v", "3", "-pix_fmt", "yuvj420p"],
    "ffv1, key frames.mkv": ["-c:v", "ffv1", "-g", "1"],
    "h264, long.mp4": ["-c:v", "libx264", "-g", "1000", "-sc_threshold", "0"],
    "edit_list.mp4": _CLOSED,
    "h264.avi": _CLOSED,
    "mpeg4.avi": _MPEG4,
}


@pytest.fixture
def no_overhead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make videos of 600 frames long enough for seeking."""
    monkeypatch.setattr(seek, "_OVERHEAD_FRAMES", 0)


def long_clip(clips: Clips, name: str, options: Sequence[str] = ()) -> Path:
    path = clips.folder / f"seek, {name}"
    if not path.exists():
        if name in ("rotate90.mp4", "edit_list.mp4"):
            change = ["-display_rotation", "90"] if name == "rotate90.mp4" else ["-ss", "0.28"]
            run_ffmpeg(
                *change, "-i", str(long_clip(clips, "h264.mp4", _CLOSED)), "-c", "copy", str(path)
            )
        else:
            run_ffmpeg(*_SOURCE, *(options or SEEKABLE[name]), str(path))
    return path


def decode_sequentially(path: Path, indices: Sequence[int]) -> np.ndarray:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seek, "may_pay_off", lambda *_: False)
        return np.stack(list(Decoder(path, 0).read(indices)))


def forbid(patch: pytest.MonkeyPatch, owner: type, *names: str) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("this video must not be read in this way")

    for name in names:
        patch.setattr(owner, name, fail)


def index_lists(total: int) -> list[list[int]]:
    middle = total // 2
    return [
        frame_indices(total, 5).tolist(),
        [0, total - 1],
        [middle, middle + 1, middle + 13],
        *([k] for k in range(middle, middle + 13)),
        [total - 2],
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("no_overhead")
@pytest.mark.parametrize("name", SEEKABLE)
def test_single_groups_are_enough(clips: Clips, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = long_clip(clips, name)
    total = Decoder(path, 0).info.num_frames
    assert total >= 300
    frames = decode_sequentially(path, range(total))
    assert len(np.unique(frames, axis=0)) == total
    forbid(monkeypatch, Decoder, "_from_decord", "_from_pipe")
    decoder = Decoder(path, 0)
    for indices in index_lists(total):
        np.testing.assert_array_equal(np.stack(list(decoder.read(indices))), frames[indices])


@pytest.mark.usefixtures("no_overhead")
@pytest.mark.parametrize("name", NOT_SEEKABLE)
def test_whole_video_is_decoded(clips: Clips, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = long_clip(clips, name, NOT_SEEKABLE[name])
    indices = [100, 390]
    expected = decode_sequentially(path, indices)
    forbid(monkeypatch, SeekPlan, "frames")
    np.testing.assert_array_equal(np.stack(list(Decoder(path, 0).read(indices))), expected)


def check_remaining_frames_are_read(path: Path, num_sought: int, indices: list[int]) -> None:
    """Check that seeking gives the first `num_sought` frames, and the decoder all of them."""
    decoder = Decoder(path, 0)
    plan = SeekPlan.create(container.list_packets(str(path)), indices)
    assert plan is not None
    found = list(plan.frames(str(path), decoder.info.height, decoder.info.width))
    expected = decode_sequentially(path, indices)
    assert len(found) == num_sought
    np.testing.assert_array_equal(found, expected[:num_sought].reshape(np.shape(found)))
    np.testing.assert_array_equal(np.stack(list(decoder.read(indices))), expected)


@pytest.mark.usefixtures("no_overhead")
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_intra_refresh_has_only_one_key_frame(clips: Clips, suffix: str) -> None:
    options = [*_X264, "intra-refresh=1:keyint=12"]
    path = long_clip(clips, f"refresh.{suffix}", options)
    check_remaining_frames_are_read(path, 1, [5, 200, 300])
    check_remaining_frames_are_read(path, 0, [200])


@pytest.mark.usefixtures("no_overhead")
def test_false_key_frames(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    path = long_clip(clips, "h264, long.mp4", NOT_SEEKABLE["h264, long.mp4"])
    list_packets = container.list_packets

    def false_packets(file: str) -> Packets:
        listed = list_packets(file)
        is_key = np.arange(len(listed.pts)) % 12 == 0
        # Only where no frame that is shown later has been decoded before.
        rank = np.argsort(np.argsort(listed.pts))
        return dataclasses.replace(listed, is_key=is_key & (rank >= np.maximum.accumulate(rank)))

    monkeypatch.setattr(container, "list_packets", false_packets)
    check_remaining_frames_are_read(path, 1, [3, 200, 300])


@pytest.mark.usefixtures("no_overhead")
def test_decoding_times_in_place_of_presentation_times(clips: Clips, tmp_path: Path) -> None:
    source = long_clip(clips, "h264, pyramid.mkv")
    path = tmp_path / "no_ctts.mp4"
    run_ffmpeg("-i", str(source), "-c", "copy", "-use_editlist", "0", str(path))
    path.write_bytes(path.read_bytes().replace(b"ctts", b"free"))
    frames = decode_sequentially(path, range(600))
    listed, decoder = container.list_packets(str(path)), Decoder(path, 0)
    for index in range(200, 213):
        assert SeekPlan.create(listed, [index]) is not None
        np.testing.assert_array_equal(list(decoder.read([index])), frames[[index]])


@functools.cache
def packet_sizes(path: Path) -> list[int]:
    listing = run_ffmpeg("-i", str(path), "-c", "copy", "-f", "framecrc", "-").decode()
    return [int(line.split(",")[4]) for line in listing.splitlines() if line[0] != "#"]


def write_damaged(source: Path, path: Path, packet: int) -> Path:
    """Write a copy in which noise replaces most of one packet, so that it cannot be decoded."""
    sizes, content = packet_sizes(source), bytearray(source.read_bytes())
    start = content.index(b"mdat") + 4 + sum(sizes[:packet])
    noise = np.random.default_rng(0).bytes(sizes[packet] - 5)
    content[start : start + len(noise)] = noise
    path.write_bytes(content)
    return path


@pytest.mark.usefixtures("no_overhead")
@pytest.mark.parametrize("name", ["h264.mp4", "h264, open.mp4", "vp9.mp4", "av1.mp4"])
@pytest.mark.parametrize("packet", [192, 196, 204, 205])
def test_damage_in_decoded_groups_is_found(
    clips: Clips, tmp_path: Path, name: str, packet: int
) -> None:
    """The damage is in the group before the wanted frame's, or in its own."""
    source = long_clip(clips, f"300 frames, {name}", [*SEEKABLE[name], "-frames:v", "300"])
    path = write_damaged(source, tmp_path / name, packet)
    with pytest.raises(VideoError) as sequential:
        decode_sequentially(path, [208])
    with pytest.raises(VideoError) as caught:
        list(Decoder(path, 0).read([208]))
    assert caught.value.reason == sequential.value.reason


@pytest.mark.usefixtures("no_overhead")
def test_damage_in_other_groups_is_not_found(clips: Clips, tmp_path: Path) -> None:
    path = write_damaged(long_clip(clips, "h264.mp4"), tmp_path / "h264.mp4", 305)
    with pytest.raises(VideoError, match="cannot be decoded"):
        decode_sequentially(path, [208])
    whole = decode_sequentially(long_clip(clips, "h264.mp4"), [208])
    np.testing.assert_array_equal(list(Decoder(path, 0).read([208])), whole)


@pytest.mark.usefixtures("no_overhead")
def test_abandoned_read_ends_its_process(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    pipes = []

    class Spy(FramePipe):
        def __enter__(self) -> Self:
            pipes.append(self)
            return self

    monkeypatch.setattr(seek, "FramePipe", Spy)
    frames = Decoder(long_clip(clips, "h264.mp4"), 0).read([100, 300])
    next(frames)
    assert len(pipes) == 1
    assert pipes[0]._process.returncode is None
    del frames
    assert pipes[0]._process.returncode is not None


def test_packets_of_a_short_video_are_not_listed(
    clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> Packets:
        raise AssertionError("listed")

    monkeypatch.setattr(container, "list_packets", fail)
    assert len(list(Decoder(long_clip(clips, "vp9.webm")).read([0, 200]))) == 2


def make_packets(total: int, group: int) -> Packets:
    none = np.zeros(total, bool)
    return Packets(512 * np.arange(total), np.arange(total) % group == 0, none, none)


@pytest.mark.parametrize(
    ("total", "group", "expected"),
    [(300, 30, False), (18_000, 30, True), (18_000, 250, False), (5400, 30, False)],
)
def test_groups_are_decoded_if_that_halves_the_work(total: int, group: int, expected: bool) -> None:
    plan = SeekPlan.create(make_packets(total, group), frame_indices(total, 128).tolist())
    assert (plan is not None) == expected


def test_plan_includes_the_group_before() -> None:
    plan = SeekPlan.create(make_packets(18_000, 30), [0, 29, 30, 95])
    assert plan == SeekPlan(
        ranges=[(0, 16), (0, 45), (0, 46), (60, 111)],
        key_frames=[
            KeyFrame(0, 0, 0),
            KeyFrame(30 * 512, 0, 30),
            KeyFrame(60 * 512, 60 * 512, 0),
            KeyFrame(90 * 512, 60 * 512, 30),
        ],
        output=[
            OutputFrame(0, 0, 0),
            OutputFrame(29 * 512, 0, 29),
            OutputFrame(30 * 512, 30 * 512, 0),
            OutputFrame(95 * 512, 90 * 512, 5),
        ],
        slots=[Slots(0, 0), Slots(1, 1), Slots(2, 2), Slots(3, 3)],
    )


def test_plan_includes_later_frames_that_a_frame_needs() -> None:
    # Groups of four frames are coded in the order 0, 3, 1, 2.
    packets = make_packets(18_000, 60)
    pts = packets.pts.reshape(-1, 4)[:, [0, 3, 1, 2]].ravel()
    plan = SeekPlan.create(dataclasses.replace(packets, pts=pts), [121])
    assert plan is not None
    assert plan.ranges == [(60, 139)]
    assert plan.output == [(121 * 512, 120 * 512, 1), (123 * 512, 120 * 512, 3)]
    assert plan.slots == [(0, 1)]


def test_frame_waits_for_its_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    class OneFrame:
        def __init__(self, *_: object) -> None:
            self._frames = [np.zeros((2, 2, 3), np.uint8)]

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def next(self) -> np.ndarray | None:
            return self._frames.pop() if self._frames else None

    monkeypatch.setattr(seek, "FramePipe", OneFrame)
    output = [OutputFrame(512, 0, 1), OutputFrame(1024, 0, 2)]
    for slots, num_frames in (([Slots(0, 1)], 0), ([Slots(0, 0), Slots(1, 1)], 1)):
        plan = SeekPlan([(0, 3)], [KeyFrame(0, 0, 0)], output, slots)
        assert len(list(plan.frames("any.mp4", 2, 2))) == num_frames


def test_ambiguous_packets_are_not_used() -> None:
    good = make_packets(18_000, 30)
    one_packet = np.arange(18_000) == 77
    assert SeekPlan.create(good, [400]) is not None
    assert SeekPlan.create(good, [400, 400]) is None
    for ambiguous in (
        dataclasses.replace(good, is_hidden=one_packet),
        dataclasses.replace(good, has_side_data=one_packet),
        dataclasses.replace(good, pts=np.where(one_packet, 0, good.pts)),
        dataclasses.replace(good, pts=good.pts - 1),
        dataclasses.replace(good, is_key=good.is_key & (good.pts > 0)),
        dataclasses.replace(good, pts=np.where(good.pts == 60 * 512, 1, good.pts)),
        make_packets(0, 1),
    ):
        assert SeekPlan.create(ambiguous, [400]) is None
