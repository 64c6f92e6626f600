"""Small copies of video files, for pages."""

from pathlib import Path

import pytest

from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.errors import VideoError
from a2inet_jax.report.examples import PREVIEW_S, make_preview
from a2inet_jax.video.raw import RawFormat
from a2inet_jax.video.reader import Reader
from tests.clips import run_ffmpeg


def look(preview: bytes, folder: Path) -> tuple[int, int, int]:
    """Return width, height and number of frames of a preview."""
    path = folder / "preview.mp4"
    path.write_bytes(preview)
    with Reader() as reader:
        info = reader.open(path)
    return info.width, info.height, info.num_frames


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("1280x720", (640, 360)),
        ("301x641", (300, 638)),
        ("720x1280", (360, 640)),
        ("75x43", (74, 42)),
    ],
)
def test_preview_is_small_with_even_sides(
    size: str, expected: tuple[int, int], tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mkv"
    run_ffmpeg("-f", "lavfi", "-i", f"testsrc=s={size}:r=5:d=1", "-c:v", "ffv1", str(clip))
    preview = make_preview(VideoFile("clip", clip))
    width, height, frames = look(preview, tmp_path)
    assert frames == 5
    assert (width, height) == expected
    assert make_preview(VideoFile("clip", clip)) == preview
    assert b"avc1" in preview


def test_preview_of_a_long_video_is_its_beginning(tmp_path: Path) -> None:
    clip = tmp_path / "long.mkv"
    source = f"testsrc=s=64x48:r=5:d={PREVIEW_S + 5}"
    sound = f"sine=d={PREVIEW_S + 5}"
    run_ffmpeg("-f", "lavfi", "-i", source, "-f", "lavfi", "-i", sound, str(clip))
    preview = make_preview(VideoFile("long", clip))
    assert look(preview, tmp_path)[2] == 5 * PREVIEW_S
    assert b"mp4a" not in preview  # no sound


def test_preview_of_a_video_without_header(tmp_path: Path) -> None:
    clip = tmp_path / "clip.yuv"
    clip.write_bytes(bytes(range(256)) * 24 * 8)  # 8 frames of 64×64
    raw = RawFormat(64, 64, "yuv420p", 4.0)
    assert look(make_preview(VideoFile("clip", clip, raw=raw)), tmp_path) == (64, 64, 8)


def test_no_preview_has_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("not a video")
    with pytest.raises(VideoError, match=r"text\.mp4: no preview can be made of it \(ffmpeg: "):
        make_preview(VideoFile("text", path))
