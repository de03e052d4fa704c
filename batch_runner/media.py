"""What a file is and whether it is whole, told from its bytes; decoding nothing.

Structure costs microseconds: PNG chunk lengths and CRCs up to IEND, JPEG from SOI to EOI, the
blocks of a GIF, the sizes in RIFF and in MP4 boxes. A file that was cut off anywhere does not pass.
Of some videos only the transfer can tell where they end; without that they do not pass either.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch_runner.errors import FileRejected

if TYPE_CHECKING:
    from collections.abc import Callable

    Buffer = bytes | memoryview


@dataclass(frozen=True, slots=True)
class MediaType:
    """A kind of file: its MIME name and the extension it deserves."""

    name: str
    extension: str


PNG = MediaType("image/png", ".png")
JPEG = MediaType("image/jpeg", ".jpg")
WEBP = MediaType("image/webp", ".webp")
GIF = MediaType("image/gif", ".gif")
MP4 = MediaType("video/mp4", ".mp4")

#: Every extension a placed file may get.
EXTENSIONS = tuple(kind.extension for kind in (PNG, JPEG, WEBP, GIF, MP4))

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def check(data: Buffer, *, measured: bool = False) -> MediaType:
    """Return what `data` is, after checking that it is whole.

    `measured`: its length was announced, or has been kept, and is right.

    Raises:
        FileRejected: empty, of no known kind, or its structure does not close.
    """
    head = bytes(data[:16])
    if not head:
        raise FileRejected("the file is empty")
    for kind, fits, whole in _KINDS:
        if fits(head):
            if not whole(memoryview(data)) and not (measured and kind is MP4 and _boxes(data)):
                raise FileRejected(f"the file is cut off or damaged ({kind.name})")
            return kind
    raise FileRejected(f"the bytes are of no known kind of picture or video: {head[:8]!r}…")


def _png(data: memoryview) -> bool:
    at = len(_PNG_MAGIC)
    first, pictured = True, False
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind = bytes(data[at + 4 : at + 8])
        end = at + 12 + length
        if end > len(data) or (kind == b"IHDR") != first:
            return False
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            return False
        if kind == b"IEND":
            return pictured and end == len(data)
        at, first, pictured = end, False, pictured or kind == b"IDAT"
    return False


def _jpeg(data: memoryview) -> bool:
    """Walk the segments to the first scan; the last bytes must be EOI (padding after it is not)."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xDA:
            return bytes(data[-2:]) == b"\xff\xd9"
        if marker == 0xFF:
            at += 1
            continue
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def _webp(data: memoryview) -> bool:
    size = int.from_bytes(data[4:8], "little")
    return size + 8 in (len(data), len(data) - 1) and size > 12


def _gif(data: memoryview) -> bool:
    """Walk the blocks to the trailer, which must be the last byte."""
    at, pictured = 13, False
    at += _colours(data[10]) if len(data) > at else 0
    while at < len(data):
        kind = data[at]
        if kind == 0x3B:
            return pictured and at + 1 == len(data)
        if kind == 0x21:  # an extension: its label
            at += 2
        elif kind == 0x2C and at + 10 < len(data):  # a picture: place, size, colours, code size
            at += 10 + _colours(data[at + 9]) + 1
            pictured = True
        else:
            return False
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    return False


def _colours(flags: int) -> int:
    """Return the bytes of the table of colours that these flags announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _mp4(data: memoryview) -> bool:
    """Say whether the boxes close by themselves: the last says its size, and no more may follow."""
    boxes = _boxes(data)
    last, open_ended = boxes[-1] if boxes else (b"", True)
    return not open_ended and (last == b"mfra" or all(kind != b"moof" for kind, _ in boxes))


def _boxes(data: Buffer) -> list[tuple[bytes, bool]]:
    """Return the boxes, each with whether it reaches to wherever the file ends; none if damaged."""
    at, found = 0, []
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        kind, open_ended = bytes(data[at + 4 : at + 8]), size == 0
        if size == 1 and at + 16 <= len(data):
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        elif open_ended:
            size = len(data) - at
        if size < 8:
            return []
        found.append((kind, open_ended))
        at += size
    return found if at == len(data) and any(kind == b"moov" for kind, _ in found) else []


_KINDS: tuple[tuple[MediaType, Callable[[bytes], bool], Callable[[memoryview], bool]], ...] = (
    (PNG, lambda head: head.startswith(_PNG_MAGIC), _png),
    (JPEG, lambda head: head.startswith(b"\xff\xd8\xff"), _jpeg),
    (WEBP, lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP", _webp),
    (GIF, lambda head: head[:6] in (b"GIF87a", b"GIF89a"), _gif),
    (MP4, lambda head: head[4:8] == b"ftyp", _mp4),
)
