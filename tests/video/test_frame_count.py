"""Files with false metadata: frames, their times and the last frame's content match what ffmpeg decodes."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from a2inet_jax.errors import VideoError
from a2inet_jax.video.decode import Decoder
from tests.clips import Clips, ffmpeg_frames

RATE = 25


def avi_frames(frames: int) -> Callable[[bytearray], None]:
    """Set the number of frames in the main header and the stream header."""

    def edit(content: bytearray) -> None:
        for chunk, offset in ((b"avih", 16), (b"strh", 32)):
            struct.pack_into("<I", content, content.index(chunk) + 8 + offset, frames)

    return edit


def avi_rate(content: bytearray) -> None:
    struct.pack_into("<I", content, content.index(b"strh") + 8 + 24, 7)


def mp4_duration(duration: int) -> Callable[[bytearray], None]:
    def edit(content: bytearray) -> None:
        for box, offset in ((b"mvhd", 16), (b"tkhd", 20), (b"mdhd", 16)):
            struct.pack_into(">I", content, content.index(box) + 4 + offset, duration)

    return edit


def mp4_edit(duration_ms: int) -> Callable[[bytearray], None]:
    def edit(content: bytearray) -> None:
        struct.pack_into(">I", content, content.index(b"elst") + 4 + 8, duration_ms)

    return edit


def mkv_duration(milliseconds: float) -> Callable[[bytearray], None]:
    def edit(content: bytearray) -> None:
        struct.pack_into(">d", content, content.index(b"\x44\x89\x88") + 3, milliseconds)

    return edit


def mkv_frame_duration(nanoseconds: int) -> Callable[[bytearray], None]:
    def edit(content: bytearray) -> None:
        struct.pack_into(">I", content, content.index(b"\x23\xe3\x83\x84") + 4, nanoseconds)

    return edit


def mkv_open_size(content: bytearray) -> None:
    start = content.index(b"\x18\x53\x80\x67") + 4
    content[start : start + 8] = b"\x01" + b"\xff" * 7


def truncated_mkv_open_size(content: bytearray) -> None:
    mkv_open_size(content)
    del content[int(0.6 * len(content)) :]


FALSE_METADATA = {
    "avi: too many frames": ("h264.avi", avi_frames(100), 25, RATE),
    "avi: too few frames": ("h264.avi", avi_frames(5), 25, RATE),
    "avi: too few frames, with B-frames": ("mpeg4_b_frames.avi", avi_frames(5), 25, RATE),
    "avi: wrong rate": ("h264.avi", avi_rate, 25, 7),
    "mp4: too long": ("h264.mp4", mp4_duration(1_000_000), 25, RATE),
    "mp4: too short": ("h264.mp4", mp4_duration(300), 25, RATE),
    "mp4: shows only its beginning": ("h264.mp4", mp4_edit(320), 8, RATE),
    "mp4: shows more than there is": ("h264.mp4", mp4_edit(5000), 25, RATE),
    "mkv: too long": ("h264.mkv", mkv_duration(1e5), 25, RATE),
    "mkv: too short": ("h264.mkv", mkv_duration(100), 25, RATE),
    "mkv: wrong rate": ("h264.mkv", mkv_frame_duration(4_000_000), 25, RATE),
    "mkv: no size": ("h264.mkv", mkv_open_size, 25, RATE),
    "mkv: no size, truncated": ("h264.mkv", truncated_mkv_open_size, None, RATE),
}


@pytest.mark.parametrize("max_decord_bytes", [1 << 30, 0], ids=["decord", "ffmpeg"])
@pytest.mark.parametrize("case", FALSE_METADATA)
def test_existing_frames_are_read(
    clips: Clips, tmp_path: Path, case: str, max_decord_bytes: int
) -> None:
    source, edit, frames, rate = FALSE_METADATA[case]
    content = bytearray(clips[source].read_bytes())
    edit(content)
    assert content != clips[source].read_bytes()
    path = tmp_path / source
    path.write_bytes(content)

    theirs = ffmpeg_frames(path, 80, 128)
    assert frames in (None, len(theirs))
    decoder = Decoder(path, max_decord_bytes)
    assert decoder.info.num_frames == len(theirs) > 5
    np.testing.assert_allclose(
        decoder.info.timestamps, np.arange(len(theirs)) / rate, atol=1e-3 / rate + 1e-3
    )
    ours = np.stack(list(decoder.read(range(len(theirs)))))
    assert np.abs(ours.astype(int) - theirs).max() <= 2
    last = next(iter(decoder.read([len(theirs) - 1])))
    np.testing.assert_array_equal(last, ours[-1])


def test_edit_list_that_hides_all_frames_raises(clips: Clips, tmp_path: Path) -> None:
    content = bytearray(clips["edit_list.mp4"].read_bytes())
    # The shown range starts after the last frame.
    struct.pack_into(">I", content, content.index(b"elst") + 4 + 12, 1_000_000)
    path = tmp_path / "late.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError, match=r"late.mp4: (shows no frame|cannot be decoded)"):
        Decoder(path)
