"""Checks of a video file's bytes before anything is decoded: is it complete, and does it have an index?

Container formats: ISO/IEC 14496-12 (MP4, MOV: boxes), RFC 8794 and 9559 (Matroska, WebM: EBML elements), RIFF
(AVI: chunks), ISO/IEC 13818-1 (MPEG transport and program streams).
"""

import os
from pathlib import Path
from typing import BinaryIO

_HEAD_BYTES = 1024
# First byte of each packet of a transport stream.
_SYNC = 0x47
# Size of a packet: plain, with a timestamp (Blu-ray), with a checksum.
_PACKET_BYTES = (188, 192, 204)
_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")
_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067


def remux_format(path: Path) -> str | None:
    """Return the container into which a stream without an index is copied before it is decoded.

    The decision depends on the file's content, not on its suffix.

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


def is_picture(path: Path) -> bool:
    """Return True for a JPEG, which decoders take for a video of one frame."""
    with path.open("rb") as file:
        return file.read(3) == b"\xff\xd8\xff"


def may_have_edit_list(path: Path) -> bool:
    """Return True for MP4 and MOV, whose edit lists may hide frames."""
    with path.open("rb") as file:
        return file.read(8)[4:] in _FIRST_BOXES


def missing_bytes(path: Path) -> int:
    """Return how many of the bytes that the container declares are missing from the file.

    Returns:
        0 also if the container declares no size (streams, live recordings).
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
