"""Containers, without decoding: is the file complete, does it need an index, which packets are in it?

Container formats: ISO/IEC 14496-12 (MP4, MOV: boxes), RFC 8794 and 9559 (Matroska, WebM: EBML elements), RIFF
(AVI: chunks), ISO/IEC 13818-1 (MPEG transport and program streams).
"""

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from a2inet_jax.errors import VideoError
from a2inet_jax.video.ffmpeg import last_line, open_file_path, run_ffmpeg
from a2inet_jax.video.info import NO_VIDEO_STREAM, checked_file_size
from a2inet_jax.video.raw import HEADERLESS_SUFFIXES

_HEAD_BYTES = 1024
# First byte of each packet of a transport stream.
_SYNC = 0x47
# Size of a packet: plain, with a timestamp (Blu-ray), with a checksum.
_PACKET_BYTES = (188, 192, 204)
_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")
_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
# FFmpeg's packet flags: a key frame, and a frame that is decoded but not shown.
_FLAG_KEY, _FLAG_DISCARD = 1, 4


@dataclass(frozen=True)
class Packets:
    """The packets of a video stream, in the order of the file (decoding order).

    Attributes:
        pts: Presentation times in the stream's time base, [packets] int64.
        is_key: Packets that the container marks as key frames, [packets] bool.
        is_hidden: Packets that an edit list hides, [packets] bool. Decoders count hidden frames too.
        has_side_data: Packets with side data, such as new headers for the decoder, [packets] bool.
    """

    pts: np.ndarray
    is_key: np.ndarray
    is_hidden: np.ndarray
    has_side_data: np.ndarray

    def shown_by_pts(self) -> np.ndarray:
        """Return which packets are shown, in presentation order, [packets] bool."""
        return ~self.is_hidden[np.lexsort((~self.is_hidden, self.pts))]


def check_complete(path: Path) -> None:
    """Check a file before it is decoded.

    Raises:
        VideoError: The file cannot be read, has no header, is a picture or is cut short.
    """
    checked_file_size(path)
    if path.suffix.lower() in HEADERLESS_SUFFIXES:
        raise VideoError(
            path,
            "has no header that gives the size of its frames. Put it into a CSV list with the columns "
            "path,width,height,pixel_format (and frame_rate), and use that list in its place",
        )
    with path.open("rb") as file:
        is_jpeg = file.read(3) == b"\xff\xd8\xff"
    # Decoders would take it for a video of one frame.
    if is_jpeg:
        raise VideoError(path, "is a picture, not a video")
    if missing := missing_bytes(path):
        raise VideoError(
            path,
            f"is cut short: {missing} bytes that its container declares are missing. Get a complete copy, or "
            "keep what is there: ffmpeg -i FILE -c copy COPY.mkv",
        )


def missing_bytes(path: Path) -> int:
    """Return how many of the bytes that the container declares are missing; 0 if it declares no size."""
    size = os.path.getsize(path)
    with path.open("rb") as file:
        head = file.read(12)
        if head[4:8] in _FIRST_BOXES:
            end = _boxes_end(file, size)
        elif head[:4] == _EBML.to_bytes(4, "big"):
            end = _segment_end(file)
        elif head[:4] == b"RIFF":
            end = 8 + int.from_bytes(head[4:8], "little")
        else:
            end = 0
    return max(0, end - size)


def remux_format(path: Path) -> str | None:
    """Return the container into which a stream without an index is copied, whatever the file's suffix.

    Returns:
        "matroska" for MPEG transport and program streams and Ogg, "mp4" for elementary streams (which have
        no timestamps, and Matroska requires them), None for all other files.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith((b"\x00\x00\x01\xba", b"OggS")) or _is_transport_stream(head):
        return "matroska"
    has_start_code = head.startswith((b"\x00\x00\x01", b"\x00\x00\x00\x01"))
    return "mp4" if has_start_code and head[4:8] != b"ftyp" else None


def remux(path: Path, output_format: str) -> int:
    """Copy the video stream of a file into an unnamed temporary file, an MP4 or a Matroska file.

    Returns:
        A file descriptor of the copy, to be closed by the caller. The copy disappears when it is closed, or
        when this process ends for any reason. `open_file_path` returns a path to open it by.

    Raises:
        VideoError: ffmpeg finds no video stream, or the folder of temporary files is full.
    """
    options = ["-y", "-fflags", "+genpts", "-i", f"file:{path}", "-map", "0:v:0", "-c", "copy"]
    # An MP4 edit list would hide the first frames of a stream whose timestamps are generated.
    if output_format == "mp4":
        options += ["-avoid_negative_ts", "make_zero", "-use_editlist", "0"]
    with tempfile.TemporaryFile() as copy:
        target = f"file:{open_file_path(copy.fileno())}"
        process = run_ffmpeg([*options, "-f", output_format, target])
        if b"No space left" in process.stderr:
            raise VideoError(
                path,
                f"needs a temporary copy in {tempfile.gettempdir()}, which is full: set TMPDIR to a folder "
                "with more space",
            )
        if b"matches no streams" in process.stderr:
            raise VideoError(path, NO_VIDEO_STREAM)
        if process.returncode != 0 or not copy.seek(0, os.SEEK_END):
            raise VideoError(path, f"cannot be decoded ({last_line(process.stderr)})")
        return os.dup(copy.fileno())


def may_have_edit_list(path: Path) -> bool:
    """Return True for MP4 and MOV, whose edit lists may hide frames."""
    with path.open("rb") as file:
        return file.read(8)[4:] in _FIRST_BOXES


def list_packets(file: str) -> Packets:
    """Return all packets that have a presentation time; none if ffmpeg cannot read the file."""
    options = ["-bsf:v:0", "noise=drop='isnan(pts)'", "-i", f"file:{file}", "-map", "0:v:0"]
    options += ["-c", "copy", "-copyinkf", "-copyts", "-copytb", "1", "-f", "framecrc", "pipe:1"]
    rows = []
    for line in run_ffmpeg(options).stdout.decode().splitlines():
        if not line.startswith("#"):
            # Columns: stream, dts, pts, duration, size, checksum. Flags follow unless the packet is a
            # plain key frame, and sizes ("S=") of side data if there is any.
            match = re.search(r"F=0x([0-9A-F]+)", line)
            flags = int(match[1], 16) if match else _FLAG_KEY
            pts = int(line.split(",")[2])
            rows.append((pts, flags & _FLAG_KEY, flags & _FLAG_DISCARD, ", S=" in line))
    pts_N, key_N, hidden_N, side_data_N = np.array(rows, np.int64).reshape(-1, 4).T
    return Packets(pts_N, key_N != 0, hidden_N != 0, side_data_N != 0)


def _is_transport_stream(head: bytes) -> bool:
    return any(
        all(head[start + k * packet] == _SYNC for k in range(4))
        for packet in _PACKET_BYTES
        for start in range(packet)
        if start + 3 * packet < len(head)
    )


def _boxes_end(file: BinaryIO, size: int) -> int:
    """Return the end of the last top-level box, or 0 if something else follows the boxes."""
    end = 0
    while end < size:
        file.seek(end)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        # 1: the length follows, in 64 bits. 0: the box extends to the end of the file.
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length == 0:
            return size
        if length < 8 or not header[4:8].isascii():
            return 0
        end += length
    return end


def _segment_end(file: BinaryIO) -> int:
    """Return the end of the segment that holds all of a Matroska file, or 0 if its size is unknown."""
    file.seek(4)
    header_bytes = _element_size(file)
    file.seek(header_bytes or 0, os.SEEK_CUR)
    if file.read(4) != _SEGMENT.to_bytes(4, "big"):
        return 0
    length = _element_size(file)
    return 0 if length is None else file.tell() + length


def _element_size(file: BinaryIO) -> int | None:
    """Read EBML's variable-length size: leading zeros give its bytes, and all ones mean unknown."""
    first = int.from_bytes(file.read(1), "big")
    more_bytes = 8 - first.bit_length()
    if more_bytes == 8:
        return None
    value_bits = 7 * (more_bytes + 1)
    following = int.from_bytes(file.read(more_bytes), "big")
    value = ((first << (8 * more_bytes)) | following) & ((1 << value_bits) - 1)
    return None if value == (1 << value_bits) - 1 else value
