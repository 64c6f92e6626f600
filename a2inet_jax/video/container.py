"""What a video file's bytes say before anything is decoded: is it all there, and can it be indexed?

Container formats: ISO/IEC 14496-12 (MP4, MOV: boxes), RFC 8794 and 9559 (Matroska, WebM: EBML elements), RIFF
(AVI: chunks), ISO/IEC 13818-1 (MPEG transport and program streams).
"""

import os
from pathlib import Path
from typing import BinaryIO

_HEAD_BYTES = 1024
_SYNC = 0x47  # first byte of each transport stream packet
_PACKET_BYTES = (188, 192, 204)  # plain, with a time stamp (Blu-ray), with a check sum
_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")
_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067


def remux_format(path: Path) -> str | None:
    """Container into which a stream without an index is copied before it is decoded.

    Told by content; the file's suffix plays no part.

    Args:
      path: an existing file.

    Returns:
      "matroska" for MPEG transport and program streams and Ogg, "mp4" for elementary streams (which have no
      time stamps; Matroska can't do without), None for all else.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith((b"\x00\x00\x01\xba", b"OggS")) or _is_transport_stream(head):
        return "matroska"
    starts_with_code = head.startswith((b"\x00\x00\x01", b"\x00\x00\x00\x01"))
    return "mp4" if starts_with_code and head[4:8] != b"ftyp" else None


def is_picture(path: Path) -> bool:
    """Whether a file is a JPEG, which decoders take for a video of one frame."""
    with path.open("rb") as file:
        return file.read(3) == b"\xff\xd8\xff"


def may_hide_frames(path: Path) -> bool:
    """Whether a file is an MP4 or MOV, whose edit lists tell what of it is shown."""
    with path.open("rb") as file:
        return file.read(8)[4:] in _FIRST_BOXES


def missing_bytes(path: Path) -> int:
    """How many bytes a file lacks of those that its container declares.

    Args:
      path: an existing file.

    Returns:
      0 also where the container doesn't tell (streams, live recordings).
    """
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


def _is_transport_stream(head: bytes) -> bool:
    return any(
        all(head[start + k * packet] == _SYNC for k in range(4))
        for packet in _PACKET_BYTES
        for start in range(packet)
        if start + 3 * packet < len(head)
    )


def _boxes_end(file: BinaryIO, size: int) -> int:
    """End of the last top-level box; 0 where what follows the boxes is not a box."""
    end = 0
    while end < size:
        file.seek(end)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:  # the length follows, in 64 bits
            length = int.from_bytes(header[8:16], "big")
        if length == 0:  # up to the end of the file
            return size
        if length < 8 or not header[4:8].isascii():
            return 0
        end += length
    return end


def _segment_end(file: BinaryIO) -> int:
    """End of the segment that holds all of a Matroska file; 0 where its size is left open."""
    file.seek(4)
    length = _element_size(file)
    file.seek(length or 0, os.SEEK_CUR)
    if file.read(4) != _SEGMENT.to_bytes(4, "big"):
        return 0
    length = _element_size(file)
    return 0 if length is None else file.tell() + length


def _element_size(file: BinaryIO) -> int | None:
    """EBML's variable-length size: the zeros that lead tell the bytes; all ones stand for unknown."""
    first = int.from_bytes(file.read(1), "big")
    more = 8 - first.bit_length()
    if more == 8:
        return None
    bits = 7 * (more + 1)
    value = ((first << (8 * more)) | int.from_bytes(file.read(more), "big")) & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else value
