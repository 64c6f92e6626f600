from pathlib import Path

import pytest

from a2inet_jax.video import container
from tests.clips import Clips


@pytest.mark.parametrize(
    "name",
    ["h264.mp4", "faststart.mp4", "fragments.mp4", "h264.mov", "h264.mkv", "vp9.webm", "h264.avi"],
)
def test_missing_bytes(clips: Clips, tmp_path: Path, name: str) -> None:
    whole = clips[name].read_bytes()
    assert container.missing_bytes(clips[name]) == 0
    # A cut between two fragments would not be noticed.
    for kept_bytes in (len(whole) - 1, len(whole) - 100):
        cut = tmp_path / name
        cut.write_bytes(whole[:kept_bytes])
        assert container.missing_bytes(cut) > 0
    cut.write_bytes(whole[:-1])
    assert container.missing_bytes(cut) == 1


@pytest.mark.parametrize("content", [b"", b"x", b"\x1a\x45\xdf\xa3", b"\x00" * 8, b"RIFF"])
def test_missing_bytes_of_very_short_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "short"
    path.write_bytes(content)
    assert container.missing_bytes(path) >= 0
    assert container.remux_format(path) is None


def test_boxes_with_64_bit_and_open_sizes(tmp_path: Path) -> None:
    ftyp = (16).to_bytes(4, "big") + b"ftypisom" + bytes(4)
    long_box = (1).to_bytes(4, "big") + b"mdat" + (16 + 10).to_bytes(8, "big")
    open_box = bytes(4) + b"mdat" + bytes(3)
    for content, missing in [
        (ftyp + long_box + bytes(10), 0),
        (ftyp + long_box + bytes(4), 6),
        (ftyp + open_box, 0),
        (ftyp + b"\x00\x00\x00\x02rest of a downloader's note", 0),
    ]:
        path = tmp_path / "boxes.mp4"
        path.write_bytes(content)
        assert container.missing_bytes(path) == missing


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("transport.ts", "matroska"),
        ("bluray.m2ts", "matroska"),
        ("renamed_transport.mp4", "matroska"),
        ("program.mpg", "matroska"),
        ("theora.ogv", "matroska"),
        ("elementary.h264", "mp4"),
        ("h264.mp4", None),
        ("h264.mkv", None),
        ("h264.avi", None),
        ("text.mp4", None),
    ],
)
def test_remux_format_depends_on_content(clips: Clips, name: str, expected: str | None) -> None:
    assert container.remux_format(clips[name]) == expected
