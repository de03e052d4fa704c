"""Find the type of a file, and whether it is complete, without decoding it.

Only the structure is read, which takes microseconds: PNG chunk lengths and CRCs up to IEND, JPEG
segments up to EOI, GIF blocks up to the trailer, the chunks of WebP, the boxes of MP4. A file that
was cut off anywhere is rejected. Bytes after the end of the structure are allowed: generators
append labels there. Some videos do not mark their end; they are complete if their length is known.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from batch_runner.errors import FileRejected

Buffer = bytes | memoryview


@dataclass(frozen=True, slots=True)
class MediaType:
    """A type of file: MIME name and file name extension."""

    name: str
    extension: str


PNG = MediaType("image/png", ".png")
JPEG = MediaType("image/jpeg", ".jpg")
WEBP = MediaType("image/webp", ".webp")
GIF = MediaType("image/gif", ".gif")
MP4 = MediaType("video/mp4", ".mp4")

#: Every extension that a result file may get.
EXTENSIONS = tuple(one.extension for one in (PNG, JPEG, WEBP, GIF, MP4))

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def check(data: Buffer, *, length_known: bool = False) -> MediaType:
    """Return the type of `data` after checking that it is complete.

    `length_known`: the length is the one that was announced or recorded.

    Raises:
        FileRejected: empty, of an unknown type, or cut off.
    """
    head = bytes(data[:16])
    if not head:
        raise FileRejected("the file is empty")
    for media_type, matches, is_complete in _TYPES:
        if matches(head):
            ended = is_complete(memoryview(data))
            if not ended and not (length_known and media_type is MP4 and _boxes(data)):
                raise FileRejected(f"the file is cut off or damaged ({media_type.name})")
            return media_type
    raise FileRejected(
        f"the file is of no known image or video type; it begins with the bytes {head[:8].hex(' ')}"
    )


def _png(data: memoryview) -> bool:
    at = len(_PNG_MAGIC)
    first, has_image = True, False
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind = bytes(data[at + 4 : at + 8])
        end = at + 12 + length
        if end > len(data) or (kind == b"IHDR") != first:
            return False
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            return False
        if kind == b"IEND":
            return has_image
        at, first, has_image = end, False, has_image or kind == b"IDAT"
    return False


#: The next JPEG marker: 0xFF may be repeated, and in scan data it also starts a stuffed byte (00)
#: or a restart marker (D0-D7).
_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")


def _jpeg(data: memoryview) -> bool:
    """Walk segments and scans up to EOI; one inside a segment belongs to a thumbnail."""
    at, scanned = 2, False
    while found := _JPEG_MARKER.search(data, at):
        at = found.end()
        marker = data[at - 1]
        if marker == 0xD9:
            return scanned
        length = int.from_bytes(data[at : at + 2], "big")
        if length < 2:
            return False
        at += length
        scanned = scanned or marker == 0xDA
    return False


def _webp(data: memoryview) -> bool:
    """Walk the chunks up to the size in the RIFF header; one of them must hold an image."""
    at, end, has_image = 12, 8 + int.from_bytes(data[4:8], "little"), False
    if end > len(data):
        return False
    while at + 8 <= end:
        kind = bytes(data[at : at + 4])
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        if at > end:
            return False
        at += at & 1  # padding, which some encoders leave out of the RIFF size
        has_image = has_image or kind in (b"VP8 ", b"VP8L", b"ANMF")
    return has_image


def _gif(data: memoryview) -> bool:
    """Walk the blocks up to the trailer."""
    at, has_image = 13, False
    at += _color_table_size(data[10]) if len(data) > at else 0
    while at < len(data):
        kind = data[at]
        if kind == 0x3B:
            return has_image
        if kind == 0x21:  # extension: skip its label
            at += 2
        elif kind == 0x2C and at + 10 < len(data):  # image: position, size, colors, code size
            at += 10 + _color_table_size(data[at + 9]) + 1
            has_image = True
        else:
            return False
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    return False


def _color_table_size(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


#: Top-level boxes of an MP4: a file in which one of them does not end was cut off.
_BOXES = frozenset(
    b"ftyp moov mdat moof mfra styp sidx ssix emsg prft pdin free skip wide uuid meta udta".split()
)


def _mp4(data: memoryview) -> bool:
    """Return whether the file marks its end: no box without length, no fragments without index."""
    boxes = _boxes(data)
    last, open_ended = boxes[-1] if boxes else (b"", True)
    return not open_ended and (last == b"mfra" or all(kind != b"moof" for kind, _ in boxes))


def _boxes(data: Buffer) -> list[tuple[bytes, bool]]:
    """Return each box with whether it has no length of its own; no boxes if one is cut off."""
    at, found = 0, []
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        kind, open_ended = bytes(data[at + 4 : at + 8]), size == 0
        if size == 1 and at + 16 <= len(data):
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        elif open_ended:
            size = len(data) - at
        if size < 8 or at + size > len(data) or (open_ended and kind not in _BOXES):
            if kind in _BOXES:
                return []
            break  # bytes after the last box
        found.append((kind, open_ended))
        at += size
    kinds = {kind for kind, _ in found}
    return found if {b"moov", b"mdat"} <= kinds else []


_TYPES: tuple[tuple[MediaType, Callable[[bytes], bool], Callable[[memoryview], bool]], ...] = (
    (PNG, lambda head: head.startswith(_PNG_MAGIC), _png),
    (JPEG, lambda head: head.startswith(b"\xff\xd8\xff"), _jpeg),
    (WEBP, lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP", _webp),
    (GIF, lambda head: head[:6] in (b"GIF87a", b"GIF89a"), _gif),
    (MP4, lambda head: head[4:8] == b"ftyp", _mp4),
)
