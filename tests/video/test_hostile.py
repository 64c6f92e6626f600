"""Files that other decoders got wrong, each read or refused under the name by which it was reported."""

import os
from pathlib import Path

import numpy as np
import pytest

from a2inet_jax.errors import VideoError
from a2inet_jax.video.decode import Decoder
from tests.clips import Clips, ffmpeg_frames

NO_VIDEO_STREAM = "cannot be decoded: no video stream can be read from it. Is it a video"
# Reported name, our clip, number of frames, (width, height).
READ = [
    ("all_black.mp4", "black.mp4", 10, (128, 80)),
    ("animated.gif", "animated.gif", 25, (128, 80)),
    ("audio_first.mp4", "audio_first.mp4", 25, (128, 80)),
    ("av1.mp4", "av1.mp4", 25, (128, 80)),
    ("edit_list.mp4", "edit_list.mp4", 18, (128, 80)),
    ("elementary.h264", "elementary.h264", 25, (128, 80)),
    ("fullrange_709.mp4", "full_range_709.mp4", 25, (128, 80)),
    ("gray.mp4", "gray.mp4", 25, (128, 80)),
    ("h264_10bit.mp4", "h264_10bit.mp4", 25, (128, 80)),
    ("hevc_10bit.mp4", "hevc_10bit.mp4", 25, (128, 80)),
    ("hflip_meta.mp4", "hflip_meta.mp4", 25, (128, 80)),
    ("interlaced.mp4", "interlaced.mp4", 12, (128, 80)),
    ("long_gop.mp4", "long_gop.mp4", 250, (96, 80)),
    ("mpeg2.mpg", "program.mpg", 25, (128, 80)),
    ("mpegts.ts", "transport.ts", 25, (128, 80)),
    ("odd_dims_420.mkv", "odd_420.mkv", 25, (97, 65)),
    ("odd_dims_444.mp4", "odd_444.mp4", 25, (97, 65)),
    ("odd_dims_mjpeg.avi", "odd_dims_mjpeg.avi", 25, (97, 65)),
    ("ok_h264.mp4", "h264.mp4", 25, (128, 80)),
    ("resolution_change.ts", "size_changes.ts", 50, (128, 80)),
    ("rotate45_meta.mp4", "rotate45_meta.mp4", 25, None),
    ("rotate90_meta.mp4", "rotate90.mp4", 25, (80, 128)),
    ("single_frame.mp4", "one_frame.mp4", 1, (128, 80)),
    ("tagged_bt601.mp4", "tagged_bt601.mp4", 25, (128, 80)),
    ("tagged_bt709.mp4", "tagged_bt709.mp4", 25, (128, 80)),
    ("ts_starts_midgop.ts", "starts_mid_gop.ts", 16, (128, 80)),
    ("two_frames.mp4", "two_frames.mp4", 2, (128, 80)),
    ("vfr.mp4", "variable_rate.mp4", 14, (128, 80)),
    ("vp9.webm", "vp9.webm", 25, (128, 80)),
    ("yuv422.mp4", "yuv422.mp4", 25, (128, 80)),
    ("yuv444.mp4", "yuv444.mp4", 25, (128, 80)),
]
REFUSED = [
    ("audio_only.mp4", "audio_only.mp4", NO_VIDEO_STREAM),
    ("corrupt_moov.mp4", "damaged_index.mp4", "cannot be decoded|no video"),
    ("corrupt_payload.mp4", "damaged_frames.mp4", "cannot be decoded .[0-9]+ of 25 frames"),
    ("jpeg_renamed.mp4", "jpeg.mp4", "is a picture"),
    ("random_bytes.mp4", "random.mp4", NO_VIDEO_STREAM),
    ("still.jpg", "still.jpg", "is a picture"),
    ("strip_1280x16.mp4", "strip_1280x16.mp4", "1280×16 pixels: at least 32"),
    ("text_long_renamed.mp4", "text_long.mp4", NO_VIDEO_STREAM),
    ("text_renamed.mp4", "text.mp4", NO_VIDEO_STREAM),
    ("tiny_16x16.mp4", "tiny.mp4", "16×16 pixels: at least 32"),
    ("tiny_2x2.mkv", "tiny_2x2.mkv", "2×2 pixels: at least 32"),
    ("truncated_faststart.mp4", "cut_faststart.mp4", "bytes .* are missing"),
    ("truncated_nomoov.mp4", "cut_no_index.mp4", "bytes .* are missing"),
    ("zero_byte.mp4", "empty.mp4", "is empty"),
]
# decord where it can be trusted, and ffmpeg for all files.
DECODERS = pytest.mark.parametrize("max_decord_bytes", [1 << 30, 0], ids=["decord", "ffmpeg"])


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    return Clips(tmp_path_factory.getbasetemp() / "clips")


@DECODERS
@pytest.mark.parametrize(
    ("name", "frames", "size"), [row[1:] for row in READ], ids=[row[0] for row in READ]
)
def test_read(
    clips: Clips, name: str, frames: int, size: tuple[int, int] | None, max_decord_bytes: int
) -> None:
    decoder = Decoder(clips[name], max_decord_bytes)
    info = decoder.info
    assert info.num_frames == frames
    assert size in (None, (info.width, info.height))
    ours = np.stack(list(decoder.read(range(frames))))
    theirs = ffmpeg_frames(clips[name], info.height, info.width)
    assert len(theirs) == frames
    assert np.abs(ours.astype(int) - theirs).max() <= 2


@DECODERS
@pytest.mark.parametrize(
    ("name", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_refused(clips: Clips, name: str, reason: str, max_decord_bytes: int) -> None:
    def read_all() -> None:
        decoder = Decoder(clips[name], max_decord_bytes)
        list(decoder.read(range(decoder.info.num_frames)))

    with pytest.raises(VideoError, match=reason):
        read_all()


@DECODERS
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("text.mp4", NO_VIDEO_STREAM),
        ("empty.mp4", "is empty"),
        ("truncated_header.mp4", "is cut short: [0-9]+ bytes .* are missing. Get a complete copy"),
        ("header_only.mp4", NO_VIDEO_STREAM),
        ("no_tracks.mp4", NO_VIDEO_STREAM),
        ("damaged_index.mp4", NO_VIDEO_STREAM),
        ("audio_only.mp4", NO_VIDEO_STREAM),
        ("audio_only.ogg", NO_VIDEO_STREAM),
        ("broken_png.mp4", "cannot be decoded: the decoder cannot open it. Is it damaged"),
        ("still.png", "cannot be decoded: its frames cannot be counted. Is it a picture"),
        ("damaged_frames.mp4", "cannot be decoded .[0-9]+ of 25 frames"),
    ],
)
def test_errors_are_plain_english(
    clips: Clips, name: str, reason: str, max_decord_bytes: int
) -> None:
    def read_all() -> None:
        decoder = Decoder(clips[name], max_decord_bytes)
        list(decoder.read(range(decoder.info.num_frames)))

    with pytest.raises(VideoError, match=reason) as caught:
        read_all()
    message = str(caught.value)
    assert message.startswith(f"{clips[name]}: ")
    assert not any(text in message for text in ("Check failed", "src/", ".cc:", "vs. 0", "\n"))


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
    theirs = ffmpeg_frames(clips["long_gop.mp4"], 80, 96)[indices]
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
