"""Whether a file's structure closes. Each function gets a whole file and never decodes it.

True: it closes; bytes after its end are allowed. False: it was cut off or damaged. None: the
structure does not tell, so the length decides.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Literal

Check = Callable[[memoryview], bool | None]


def png(data: memoryview) -> bool:
    """Walk the chunks up to IEND, and compare their checksums."""
    at = 8
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


def jpeg(data: memoryview) -> bool:
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


def webp(data: memoryview) -> bool:
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


def gif(data: memoryview) -> bool:
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


#: Top-level boxes of MP4, QuickTime, AVIF, HEIC and JPEG XL: a file in which one of them does not
#: end was cut off.
_BOXES = frozenset(
    b"ftyp moov mdat moof mfra styp sidx ssix emsg prft pdin free skip wide uuid meta udta "
    b"jxlc jxlp jxll jbrd Exif jumb".split()
) | {b"JXL ", b"xml "}


def movie(data: memoryview) -> bool | None:
    """Walk the boxes. None: a box without length, or fragments without an index at the end."""
    boxes = _boxes(data)
    if not {b"moov", b"mdat"} <= {kind for kind, _ in boxes}:
        return False
    last, open_ended = boxes[-1]
    if open_ended or (last != b"mfra" and any(kind == b"moof" for kind, _ in boxes)):
        return None
    return True


def picture_in_boxes(data: memoryview) -> bool | None:
    """Walk the boxes. Nothing announces the one with the picture, so never True."""
    kinds = {kind for kind, _ in _boxes(data)}
    return None if kinds & {b"meta", b"moov", b"jxlc", b"jxlp"} else False


def jxl(data: memoryview) -> bool | None:
    """Walk the boxes if there are any: a bare codestream has none."""
    return picture_in_boxes(data) if data[0] == 0 else None


def _boxes(data: memoryview) -> list[tuple[bytes, bool]]:
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
    return found


def size_at(offset: int, order: Literal["big", "little"], *, more: int = 0) -> Check:
    """Return a check of the size in the head at `offset`, which leaves `more` bytes out."""

    def is_complete(data: memoryview) -> bool | None:
        size = int.from_bytes(data[offset : offset + 4], order)
        if len(data) >= offset + 4 and size in (0, 0xFFFFFFFF):  # streamed: it was not known
            return None
        return offset + 4 <= len(data) and size + more <= len(data)

    return is_complete


def matroska(data: memoryview) -> bool | None:
    """Add the sizes of the two elements of a WebM or MKV: its head, and everything else."""
    at = 0
    for _ in range(2):
        at += 4  # the id of either has four bytes
        if at >= len(data) or not data[at]:
            return False
        width = 9 - data[at].bit_length()
        largest = (1 << 7 * width) - 1
        size = int.from_bytes(data[at : at + width], "big") & largest
        if size == largest:  # streamed: it was not known
            return None
        at += width + size
    return at <= len(data)


def zip_file(data: memoryview) -> bool:
    """Find the end of the directory, after which only a comment or a label may come."""
    end = bytes(data[-(1 << 17) :])
    return 0 <= end.rfind(b"PK\5\6") <= len(end) - 22
