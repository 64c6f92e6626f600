"""Frames that are decoded without the rest of their video are those of sequential decoding."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from a2inet_jax.errors import VideoError
from a2inet_jax.video import packets, seek
from a2inet_jax.video.decode import Decoder
from a2inet_jax.video.frame_pipe import FramePipe
from a2inet_jax.video.packets import Packets
from a2inet_jax.video.sampling import frame_indices
from a2inet_jax.video.seek import Groups
from tests.clips import Clips, ffmpeg

_SOURCE = ["-f", "lavfi", "-i", "testsrc2=s=96x80:r=25:d=24", "-pix_fmt", "yuv420p"]
_X264 = ["-c:v", "libx264", "-x264-params"]
_X265 = ["-c:v", "libx265", "-x265-params"]
_VP9 = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "12"]
_AV1 = ["-c:v", "libsvtav1", "-preset", "12", "-g", "12", "-svtav1-params", "lp=1"]
_MPEG4 = ["-c:v", "mpeg4", "-bf", "2", "-g", "12"]
_MPEG2 = ["-c:v", "mpeg2video", "-bf", "2", "-g", "12", "-q:v", "3"]
_VARIABLE = "select='not(mod(n,5))+lt(mod(n,50),40)',settb=1/1000"
_CLOSED = ["-c:v", "libx264", "-g", "12", "-bf", "3"]
# Long videos of which a few frames are decoded alone.
SOUGHT = {
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
# Long videos all of which is decoded: all are key frames, one group, hidden frames, no times.
WHOLE = {
    "mjpeg.avi": ["-c:v", "mjpeg", "-q:v", "3", "-pix_fmt", "yuvj420p"],
    "ffv1, key frames.mkv": ["-c:v", "ffv1", "-g", "1"],
    "h264, long.mp4": ["-c:v", "libx264", "-g", "1000", "-sc_threshold", "0"],
    "edit_list.mp4": _CLOSED,
    "h264.avi": _CLOSED,
    "mpeg4.avi": _MPEG4,
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    return Clips(tmp_path_factory.getbasetemp() / "clips")


@pytest.fixture
def worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Videos of 600 frames are long."""
    monkeypatch.setattr(seek, "_OVERHEAD_FRAMES", 0)


def long_clip(clips: Clips, name: str, options: Sequence[str] = ()) -> Path:
    path = clips.folder / f"seek, {name}"
    if not path.exists():
        if name in ("rotate90.mp4", "edit_list.mp4"):
            how = ["-display_rotation", "90"] if name == "rotate90.mp4" else ["-ss", "0.28"]
            ffmpeg(*how, "-i", str(long_clip(clips, "h264.mp4", _CLOSED)), "-c", "copy", str(path))
        else:
            ffmpeg(*_SOURCE, *(options or SOUGHT[name]), str(path))
    return path


def one_by_one(path: Path, indices: Sequence[int]) -> np.ndarray:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seek, "may_be_worth_it", lambda *_: False)
        return np.stack(list(Decoder(path, 0).read(indices)))


def forbid(patch: pytest.MonkeyPatch, owner: type, *names: str) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("not the way this video is to be read")

    for name in names:
        patch.setattr(owner, name, fail)


def samples(total: int) -> list[list[int]]:
    middle = total // 2
    return [
        frame_indices(total, 5).tolist(),
        [0, total - 1],
        [middle, middle + 1, middle + 13],
        *([k] for k in range(middle, middle + 13)),
        [total - 2],
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("worth_it")
@pytest.mark.parametrize("name", SOUGHT)
def test_parts_are_enough(clips: Clips, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = long_clip(clips, name)
    total = Decoder(path, 0).info.frames
    assert total >= 300
    frames = one_by_one(path, range(total))
    assert len(np.unique(frames, axis=0)) == total
    forbid(monkeypatch, Decoder, "_from_decord", "_from_pipe")
    decoder = Decoder(path, 0)
    for indices in samples(total):
        np.testing.assert_array_equal(np.stack(list(decoder.read(indices))), frames[indices])


@pytest.mark.usefixtures("worth_it")
@pytest.mark.parametrize("name", WHOLE)
def test_all_is_decoded(clips: Clips, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = long_clip(clips, name, WHOLE[name])
    indices = [100, 390]
    expected = one_by_one(path, indices)
    forbid(monkeypatch, Groups, "frames")
    np.testing.assert_array_equal(np.stack(list(Decoder(path, 0).read(indices))), expected)


def check_what_is_missing_is_read(path: Path, alone: int, indices: list[int]) -> None:
    """So many frames come out without the rest of the video, and all with it."""
    decoder = Decoder(path, 0)
    groups = Groups.of(packets.listed(str(path)), indices)
    assert groups is not None
    found = list(groups.frames(str(path), decoder.info.height, decoder.info.width))
    expected = one_by_one(path, indices)
    assert len(found) == alone
    np.testing.assert_array_equal(found, expected[:alone].reshape(np.shape(found)))
    np.testing.assert_array_equal(np.stack(list(decoder.read(indices))), expected)


@pytest.mark.usefixtures("worth_it")
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_intra_refresh_has_no_key_frames_but_the_first(clips: Clips, suffix: str) -> None:
    options = [*_X264, "intra-refresh=1:keyint=12"]
    path = long_clip(clips, f"refresh.{suffix}", options)
    check_what_is_missing_is_read(path, 1, [5, 200, 300])
    check_what_is_missing_is_read(path, 0, [200])


@pytest.mark.usefixtures("worth_it")
def test_key_frames_that_are_none(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    path = long_clip(clips, "h264, long.mp4", WHOLE["h264, long.mp4"])
    real = packets.listed

    def lying(file: str) -> Packets:
        found = real(file)
        key = np.arange(len(found.key)) % 12 == 0
        # Of those that come in the order of their times.
        order = np.argsort(np.argsort(found.times))
        return dataclasses.replace(found, key=key & (order >= np.maximum.accumulate(order)))

    monkeypatch.setattr(packets, "listed", lying)
    check_what_is_missing_is_read(path, 1, [3, 200, 300])


@pytest.mark.usefixtures("worth_it")
def test_times_that_are_those_of_decoding(clips: Clips, tmp_path: Path) -> None:
    source = long_clip(clips, "h264, pyramid.mkv")
    path = tmp_path / "no_ctts.mp4"
    ffmpeg("-i", str(source), "-c", "copy", "-use_editlist", "0", str(path))
    path.write_bytes(path.read_bytes().replace(b"ctts", b"free"))
    frames = one_by_one(path, range(600))
    for index in range(200, 213):
        assert Groups.of(packets.listed(str(path)), [index]) is not None
        np.testing.assert_array_equal(list(Decoder(path, 0).read([index])), frames[[index]])


def damaged(clips: Clips, path: Path, number: int) -> Path:
    """A copy in which noise replaces most of one packet, so that no frame comes of it."""
    source = long_clip(clips, path.name)
    listing = ffmpeg("-i", str(source), "-c", "copy", "-f", "framecrc", "-").decode()
    sizes = [int(line.split(",")[4]) for line in listing.splitlines() if line[0] != "#"]
    content = bytearray(source.read_bytes())
    start = content.index(b"mdat") + 4 + sum(sizes[:number])
    noise = np.random.default_rng(0).bytes(sizes[number] - 5)
    content[start : start + len(noise)] = noise
    path.write_bytes(content)
    return path


@pytest.mark.usefixtures("worth_it")
@pytest.mark.parametrize("name", ["h264.mp4", "h264, open.mp4", "vp9.mp4", "av1.mp4"])
@pytest.mark.parametrize("number", [192, 196, 204, 205])
def test_damage_in_parts_that_are_used(
    clips: Clips, tmp_path: Path, name: str, number: int
) -> None:
    """In the group before, and in the frame's own."""
    path = damaged(clips, tmp_path / name, number)
    with pytest.raises(VideoError) as sequential:
        one_by_one(path, [208])
    with pytest.raises(VideoError) as caught:
        list(Decoder(path, 0).read([208]))
    assert caught.value.reason == sequential.value.reason


@pytest.mark.usefixtures("worth_it")
def test_damage_in_other_parts_is_not_found(clips: Clips, tmp_path: Path) -> None:
    path = damaged(clips, tmp_path / "h264.mp4", 305)
    with pytest.raises(VideoError, match="can't be decoded"):
        one_by_one(path, [208])
    whole = one_by_one(long_clip(clips, "h264.mp4"), [208])
    np.testing.assert_array_equal(list(Decoder(path, 0).read([208])), whole)


@pytest.mark.usefixtures("worth_it")
def test_an_abandoned_read_ends_its_process(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_short_video_is_not_even_listed(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> Packets:
        raise AssertionError("listed")

    monkeypatch.setattr(packets, "listed", fail)
    assert len(list(Decoder(long_clip(clips, "vp9.webm")).read([0, 200]))) == 2


def made_up(total: int, group: int) -> Packets:
    none = np.zeros(total, bool)
    return Packets(512 * np.arange(total), np.arange(total) % group == 0, none, none)


@pytest.mark.parametrize(
    ("total", "group", "expected"),
    [(300, 30, False), (18_000, 30, True), (18_000, 250, False), (5400, 30, False)],
)
def test_parts_are_decoded_where_that_is_half_the_work(
    total: int, group: int, expected: bool
) -> None:
    groups = Groups.of(made_up(total, group), frame_indices(total, 128).tolist())
    assert (groups is not None) == expected


def test_a_group_and_the_one_before() -> None:
    groups = Groups.of(made_up(18_000, 30), [0, 29, 30, 95])
    assert groups == Groups(
        ranges=[(0, 16), (0, 45), (0, 46), (60, 111)],
        starts=[(0, 0, 0), (30 * 512, 0, 30), (60 * 512, 60 * 512, 0), (90 * 512, 60 * 512, 30)],
        passed=[
            (0, 0, 0),
            (29 * 512, 0, 29),
            (30 * 512, 30 * 512, 0),
            (95 * 512, 90 * 512, 5),
        ],
        places=[(0, 0), (1, 1), (2, 2), (3, 3)],
    )


def test_frames_shown_later_that_a_frame_needs() -> None:
    # Every four frames are coded in the order 0, 3, 1, 2.
    packets = made_up(18_000, 60)
    times = packets.times.reshape(-1, 4)[:, [0, 3, 1, 2]].ravel()
    groups = Groups.of(dataclasses.replace(packets, times=times), [121])
    assert groups is not None
    assert groups.ranges == [(60, 139)]
    assert groups.passed == [(121 * 512, 120 * 512, 1), (123 * 512, 120 * 512, 3)]
    assert groups.places == [(0, 1)]


def test_a_frame_waits_for_those_that_prove_it(monkeypatch: pytest.MonkeyPatch) -> None:
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
    passed = [(512, 0, 1), (1024, 0, 2)]
    for places, number in (([(0, 1)], 0), ([(0, 0), (1, 1)], 1)):
        groups = Groups([(0, 3)], [(0, 0, 0)], passed, places)
        assert len(list(groups.frames("any.mp4", 2, 2))) == number


def test_a_doubtful_list_of_packets_is_not_used() -> None:
    clear = made_up(18_000, 30)
    some = np.arange(18_000) == 77
    assert Groups.of(clear, [400]) is not None
    assert Groups.of(clear, [400, 400]) is None
    for doubtful in (
        dataclasses.replace(clear, hidden=some),
        dataclasses.replace(clear, side_data=some),
        dataclasses.replace(clear, times=np.where(some, 0, clear.times)),
        dataclasses.replace(clear, times=clear.times - 1),
        dataclasses.replace(clear, key=clear.key & (clear.times > 0)),
        dataclasses.replace(clear, times=np.where(clear.times == 60 * 512, 1, clear.times)),
        made_up(0, 1),
    ):
        assert Groups.of(doubtful, [400]) is None
