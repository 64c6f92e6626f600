"""Good and bad files: frames are those of ffmpeg, and errors are in plain English."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from a2inet_jax.errors import VideoError
from a2inet_jax.video.decode import Decoder
from tests.clips import Clips

# File name, number of frames, (width, height).
GOOD = [
    ("h264.mp4", 25, (128, 80)),
    ("h264.mkv", 25, (128, 80)),
    ("h264.avi", 25, (128, 80)),
    ("h264.flv", 25, (128, 80)),
    ("fragments.mp4", 25, (128, 80)),
    ("hevc_10bit.mp4", 25, (128, 80)),
    ("av1.mp4", 25, (128, 80)),
    ("vp8.webm", 25, (128, 80)),
    ("vp9.webm", 25, (128, 80)),
    ("alpha.mov", 25, (128, 80)),
    ("yuv444.mp4", 25, (128, 80)),
    ("gray.mp4", 25, (128, 80)),
    ("full_range_709.mp4", 25, (128, 80)),
    ("odd_420.mkv", 25, (97, 65)),
    ("odd_444.mp4", 25, (97, 65)),
    ("wmv.wmv", 25, (128, 80)),
    ("mpeg4_b_frames.avi", 25, (128, 80)),
    ("transport.ts", 25, (128, 80)),
    ("bluray.m2ts", 25, (128, 80)),
    ("renamed_transport.mp4", 25, (128, 80)),
    ("program.mpg", 25, (128, 80)),
    ("elementary.h264", 25, (128, 80)),
    ("theora.ogv", 25, (128, 80)),
    ("animated.gif", 25, (128, 80)),
    ("rotate90.mp4", 25, (80, 128)),
    ("edit_list.mp4", 18, (128, 80)),
    ("size_changes.ts", 50, (128, 80)),
    ("one_frame.mp4", 1, (128, 80)),
    ("two_frames.mp4", 2, (128, 80)),
    ("black.mp4", 10, (128, 80)),
    ("variable_rate.mp4", 14, (128, 80)),
    ("audio_first.mp4", 25, (128, 80)),
    ("width96.mp4", 10, (96, 64)),
    ("h264_10bit.mp4", 25, (128, 80)),
    ("hflip_meta.mp4", 25, (128, 80)),
    ("interlaced.mp4", 12, (128, 80)),
    ("long_gop.mp4", 250, (96, 80)),
    ("odd_dims_mjpeg.avi", 25, (97, 65)),
    ("rotate45_meta.mp4", 25, None),
    ("tagged_bt601.mp4", 25, (128, 80)),
    ("tagged_bt709.mp4", 25, (128, 80)),
    ("starts_mid_gop.ts", 16, (128, 80)),
    ("yuv422.mp4", 25, (128, 80)),
]
NO_VIDEO_STREAM = "cannot be decoded: no video stream can be read from it. Is it a video"
BAD = [
    ("empty.mp4", "is empty"),
    ("text.mp4", NO_VIDEO_STREAM),
    ("text_long.mp4", NO_VIDEO_STREAM),
    ("random.mp4", NO_VIDEO_STREAM),
    ("jpeg.mp4", "is a picture"),
    ("still.jpg", "is a picture"),
    ("still.png", "cannot be decoded: its frames cannot be counted. Is it a picture"),
    ("broken_png.mp4", "cannot be decoded: the decoder cannot open it. Is it damaged"),
    ("audio_only.mp4", NO_VIDEO_STREAM),
    ("audio_only.ogg", NO_VIDEO_STREAM),
    ("header_only.mp4", NO_VIDEO_STREAM),
    ("no_tracks.mp4", NO_VIDEO_STREAM),
    ("damaged_index.mp4", NO_VIDEO_STREAM),
    ("damaged_frames.mp4", "cannot be decoded .[0-9]+ of 25 frames"),
    ("tiny.mp4", "16×16 pixels: at least 32"),
    ("tiny_2x2.mkv", "2×2 pixels: at least 32"),
    ("strip_1280x16.mp4", "1280×16 pixels: at least 32"),
    ("truncated_header.mp4", "is cut short: [0-9]+ bytes .* are missing. Get a complete copy"),
    ("cut_faststart.mp4", "bytes .* are missing"),
    ("cut_last_byte.mp4", "1 bytes .* are missing"),
    ("cut_no_index.mp4", "bytes .* are missing"),
    ("cut.mkv", "bytes .* are missing"),
    ("cut.avi", "bytes .* are missing"),
]


# decord for small videos and ffmpeg for large ones must both be correct.
DECODERS = pytest.mark.parametrize("max_decord_bytes", [1 << 30, 0], ids=["decord", "ffmpeg"])


@DECODERS
@pytest.mark.parametrize(("name", "frames", "size"), GOOD, ids=[row[0] for row in GOOD])
def test_frames_match_ffmpeg(
    clips: Clips, name: str, frames: int, size: tuple[int, int] | None, max_decord_bytes: int
) -> None:
    decoder = Decoder(clips[name], max_decord_bytes)
    info = decoder.info
    assert info.num_frames == frames
    assert size in (None, (info.width, info.height))
    assert info.timestamps.shape == (frames,)
    assert info.timestamps[0] == pytest.approx(0, abs=0.05)
    assert np.all(np.diff(info.timestamps) > 0)

    ours = np.stack(list(decoder.read(range(frames))))
    theirs = clips.frames(name, info.height, info.width)
    assert ours.dtype == np.uint8
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs).max() <= 2


@DECODERS
@pytest.mark.parametrize(("name", "reason"), BAD, ids=[row[0] for row in BAD])
def test_bad_files_raise(clips: Clips, name: str, reason: str, max_decord_bytes: int) -> None:
    def read_all() -> None:
        decoder = Decoder(clips[name], max_decord_bytes)
        list(decoder.read(range(decoder.info.num_frames)))

    with pytest.raises(VideoError, match=reason) as caught:
        read_all()
    # In plain English, without what native code says.
    message = str(caught.value)
    assert message.startswith(f"{clips[name]}: ")
    assert not any(text in message for text in ("Check failed", "src/", ".cc:", "vs. 0", "\n"))


@DECODERS
def test_damage_after_the_requested_frames_is_found(clips: Clips, max_decord_bytes: int) -> None:
    # decord decodes ahead in threads of its own.
    for _ in range(20 if max_decord_bytes else 2):
        with pytest.raises(VideoError, match="cannot be decoded"):
            list(Decoder(clips["damaged_frames.mp4"], max_decord_bytes).read([0]))


def test_missing_file_folder_and_pipe_raise(tmp_path: Path) -> None:
    link, folder, pipe = (tmp_path / name for name in ("dangling_symlink", "directory", "pipe"))
    link.symlink_to(tmp_path / "nowhere.mp4")
    folder.mkdir()
    os.mkfifo(pipe)
    for path, reason in ((link, "does not exist"), (folder, "is a folder"), (pipe, "not a file")):
        with pytest.raises(VideoError, match=reason):
            Decoder(path)


def test_permission_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "secret.mp4"
    path.write_bytes(b"x")
    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(VideoError, match=r"secret.mp4: cannot be read \(Permission denied\)"):
        Decoder(path)


@DECODERS
@pytest.mark.parametrize("name", ["h264.mp4", "wmv.wmv", "mpeg4_b_frames.avi", "program.mpg"])
def test_skipping_and_rewinding_give_the_right_frames(
    clips: Clips, name: str, max_decord_bytes: int
) -> None:
    decoder = Decoder(clips[name], max_decord_bytes)
    frames = np.stack(list(decoder.read(range(25))))
    assert len(np.unique(frames, axis=0)) == 25
    for indices in ([0, 7, 13, 24], [3], [3, 3, 20], [19]):
        np.testing.assert_array_equal(np.stack(list(decoder.read(indices))), frames[indices])


@DECODERS
def test_indices_beyond_the_end_raise(clips: Clips, max_decord_bytes: int) -> None:
    decoder = Decoder(clips["h264.mp4"], max_decord_bytes)
    with pytest.raises(VideoError, match="has 25 frames, but index 25"):
        list(decoder.read([3, 25]))


@DECODERS
def test_relative_path_like_a_url_is_a_file(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_decord_bytes: int
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("concat:a|b.mp4")
    path.write_bytes(clips["h264.mp4"].read_bytes())
    assert sum(1 for _ in Decoder(path, max_decord_bytes).read(range(25))) == 25


def test_timestamps_follow_a_variable_rate(clips: Clips) -> None:
    info = Decoder(clips["variable_rate.mp4"]).info
    shown = [*range(12), 15, 20]
    np.testing.assert_allclose(info.timestamps, np.array(shown) / 25, atol=1e-3)


def test_worker_does_not_import_jax() -> None:
    import subprocess

    code = "import sys, a2inet_jax.video.worker; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("at", [0, 1, 10, 24])
def test_ffmpeg_takes_over_where_decord_fails(
    clips: Clips, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """decord sometimes fails on a good file under load, which must not make the file unreadable."""
    expected = clips.frames("h264.mp4", 80, 128)
    advance = Decoder._advance

    def fail(self: Decoder) -> object:
        if self._num_decoded == at:
            raise RuntimeError("avcodec_send_packet")
        return advance(self)

    monkeypatch.setattr(Decoder, "_advance", fail)
    decoder = Decoder(clips["h264.mp4"])
    np.testing.assert_array_equal(np.stack(list(decoder.read(range(25)))), expected)
    np.testing.assert_array_equal(np.stack(list(decoder.read([3, 20]))), expected[[3, 20]])


def test_black_is_black_and_gray_is_gray(clips: Clips) -> None:
    black = np.stack(list(Decoder(clips["black.mp4"]).read(range(10))))
    assert black.max() == 0
    gray = np.stack(list(Decoder(clips["gray.mp4"]).read(range(25))))
    assert np.all(gray == gray[..., :1])
    assert len(np.unique(gray)) > 50


@DECODERS
def test_mirroring_metadata_are_applied(clips: Clips, max_decord_bytes: int) -> None:
    plain, mirrored = (
        np.stack(list(Decoder(clips[name], max_decord_bytes).read(range(25))))
        for name in ("h264.mp4", "hflip_meta.mp4")
    )
    # Chroma is shared by two pixels, and its samples move when mirrored.
    assert np.abs(plain[:, :, ::-1].astype(int) - mirrored).mean() < 3
    assert np.abs(plain[:, ::-1].astype(int) - mirrored).mean() > 20


@DECODERS
def test_distant_frames_of_one_long_group(clips: Clips, max_decord_bytes: int) -> None:
    indices = [0, 1, 100, 101, 248, 249]
    decoder = Decoder(clips["long_gop.mp4"], max_decord_bytes)
    theirs = clips.frames("long_gop.mp4", 80, 96)[indices]
    assert len(np.unique(theirs, axis=0)) == 6
    ours = np.stack(list(decoder.read(indices)))
    np.testing.assert_array_equal(ours, theirs)


def test_colour_tag_is_applied(clips: Clips) -> None:
    frames = {
        name: next(iter(Decoder(clips[name]).read([0]))).astype(int)
        for name in ("tagged_bt601.mp4", "tagged_bt709.mp4", "full_range_709.mp4")
    }
    # One picture, encoded in three ways.
    first, *others = frames.values()
    for other in others:
        assert np.abs(first - other).mean() < 4
