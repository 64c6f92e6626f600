from pathlib import Path

import numpy as np
import pytest

from a2inet_jax.errors import DataError, VideoError
from a2inet_jax.video.decode import Decoder
from a2inet_jax.video.raw import RawDecoder, RawFormat
from tests.clips import ffmpeg_frames, run_ffmpeg

FORMATS = [
    "bgr24",
    "gray",
    "nv12",
    "nv21",
    "p010le",
    "rgb24",
    "uyvy422",
    "yuv420p",
    "yuv420p10le",
    "yuv420p12le",
    "yuv420p16le",
    "yuv422p",
    "yuv422p10le",
    "yuv422p12le",
    "yuv422p16le",
    "yuv444p",
    "yuv444p10le",
    "yuv444p12le",
    "yuv444p16le",
    "yuvj420p",
    "yuvj422p",
    "yuvj444p",
    "yuyv422",
]


def make_raw(path: Path, size: str, frames: int, pixel_format: str) -> Path:
    run_ffmpeg(
        *("-y", "-f", "lavfi", "-i", f"testsrc2=s=200x100:r=25:d=1,crop={size}:0:0:exact=1"),
        *("-frames:v", f"{frames}", "-f", "rawvideo", "-pix_fmt", pixel_format, str(path)),
    )
    return path


def expected(path: Path, raw: RawFormat) -> np.ndarray:
    options = ["-f", "rawvideo", "-pixel_format", raw.pixel_format]
    options += ["-video_size", f"{raw.width}x{raw.height}"]
    return ffmpeg_frames(path, raw.height, raw.width, *options)


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_frames_match_ffmpeg_at_odd_sizes(tmp_path: Path, pixel_format: str) -> None:
    path = make_raw(tmp_path / "clip.yuv", "97:65", 12, pixel_format)
    raw = RawFormat(97, 65, pixel_format, frame_rate=25)
    decoder = RawDecoder(path, raw)
    assert (decoder.info.num_frames, decoder.info.height, decoder.info.width) == (12, 65, 97)
    np.testing.assert_allclose(decoder.info.timestamps, np.arange(12) / 25)
    theirs = expected(path, raw)
    assert len(np.unique(theirs, axis=0)) == 12
    np.testing.assert_array_equal(np.stack(list(decoder.read(range(12)))), theirs)
    np.testing.assert_array_equal(np.stack(list(decoder.read([2, 2, 11]))), theirs[[2, 2, 11]])


def test_raw_1920x1080_yuv420p(tmp_path: Path) -> None:
    path = tmp_path / "raw_1920x1080_yuv420p.yuv"
    run_ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=1920x1080",
        "-frames:v",
        "2",
        "-pix_fmt",
        "yuv420p",
        str(path),
    )
    assert path.stat().st_size == 2 * 3_110_400
    for pixel_format in ("yuv420p", "yuvj420p"):
        raw = RawFormat(1920, 1080, pixel_format)
        frames = np.stack(list(RawDecoder(path, raw).read([0, 1])))
        np.testing.assert_array_equal(frames, expected(path, raw))


def test_full_range_changes_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "black.yuv"
    path.write_bytes(bytes([16]) * 64 * 64 + bytes([128]) * 64 * 32)
    limited, full = (
        next(RawDecoder(path, RawFormat(64, 64, name)).read([0]))
        for name in ("yuv420p", "yuvj420p")
    )
    assert (limited.max(), full.min()) == (0, 16)


@pytest.mark.parametrize("name", ["clip.yuv", "clip.RGB", "clip.raw"])
def test_missing_format_error_names_the_remedy(tmp_path: Path, name: str) -> None:
    path = make_raw(tmp_path / name, "64:64", 2, "yuv420p")
    with pytest.raises(
        VideoError, match=r"CSV list with the columns path,width,height,pixel_format"
    ):
        Decoder(path)


def test_raw_truncated_1080p(tmp_path: Path) -> None:
    path = tmp_path / "raw_truncated_1080p.yuv"
    path.write_bytes(bytes(3_110_400 * 3 // 2))
    with pytest.raises(
        VideoError, match=r"holds 1 whole frames of 1920×1080.*and 1555200 more bytes"
    ):
        RawDecoder(path, RawFormat(1920, 1080))


def test_impossible_files_raise(tmp_path: Path) -> None:
    path = tmp_path / "clip.yuv"
    path.write_bytes(b"")
    with pytest.raises(VideoError, match="is empty"):
        RawDecoder(path, RawFormat(64, 64))
    path.write_bytes(bytes(64 * 64 * 3 // 2))
    with pytest.raises(
        VideoError, match=r"unknown pixel format 'yuv999p' .*known formats: .* yuv420p"
    ):
        RawDecoder(path, RawFormat(64, 64, "yuv999p"))
    path.write_bytes(bytes(16 * 16 * 3 // 2))
    with pytest.raises(VideoError, match="at least 32"):
        RawDecoder(path, RawFormat(16, 16))
    with pytest.raises(VideoError, match="does not exist"):
        RawDecoder(tmp_path / "none.yuv", RawFormat(64, 64))
    with pytest.raises(VideoError, match="is a folder"):
        RawDecoder(tmp_path, RawFormat(64, 64))


def test_frames_beyond_the_end_raise(tmp_path: Path) -> None:
    path = tmp_path / "clip.yuv"
    path.write_bytes(bytes(64 * 64 * 3))
    decoder = RawDecoder(path, RawFormat(64, 64))
    with pytest.raises(VideoError, match="has 2 frames, but index 2 was requested"):
        list(decoder.read([0, 2]))
    # The file shrinks.
    path.write_bytes(bytes(64 * 64 * 2))
    with pytest.raises(VideoError, match="cannot be read near frame 1"):
        list(decoder.read([0, 1]))


def test_abandoned_read_ends_its_process(tmp_path: Path) -> None:
    path = tmp_path / "long.yuv"
    with path.open("wb") as file:
        file.truncate(640 * 480 * 3 // 2 * 1000)
    frames = RawDecoder(path, RawFormat(640, 480)).read(range(1000))
    next(frames)
    # Hangs if the process, or the thread that feeds it, is not stopped.
    frames.close()


@pytest.mark.parametrize(
    "values", [(0, 64), (64, -1), (64, 64, ""), (64, 64, "gray", 0.0), (64, 64, "gray", np.inf)]
)
def test_impossible_formats_raise(values: tuple) -> None:
    with pytest.raises(DataError, match=r"cannot be|must be above 0|is empty"):
        RawFormat(*values)
