"""Small files of many kinds, for services that generate more than pictures."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable

from PIL import Image

#: Content-Type of each kind.
CONTENT_TYPES = {
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "tiff": "image/tiff",
    "bmp": "image/bmp",
    "avif": "image/avif",
    "exr": "image/x-exr",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "glb": "model/gltf-binary",
    "obj": "model/obj",
    "zip": "application/zip",
    "bin": "application/octet-stream",
    "txt": "text/plain",
    "csv": "text/csv",
    "json": "application/json",
    "html": "text/html",
    "svg": "image/svg+xml",
}


def sample(kind: str, png: bytes) -> bytes:
    """Return a file of `kind`, one of CONTENT_TYPES; another one for each picture `png`."""
    if kind in ("jpeg", "webp", "gif", "tiff", "bmp"):
        return _converted(png, kind)
    number = f"{zlib.crc32(png):08x}"
    return _MAKERS[kind](png, number)


def _converted(png: bytes, kind: str) -> bytes:
    file = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.convert("RGB").save(file, kind.upper(), quality=85)
    return file.getvalue()


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _avif(png: bytes, _: str) -> bytes:
    return _box(b"ftyp", b"avif" + bytes(4)) + _box(b"meta", b"primary") + _box(b"mdat", png)


def _mp4(png: bytes, _: str) -> bytes:
    return _box(b"ftyp", b"isom" + bytes(4)) + _box(b"moov", b"index") + _box(b"mdat", png)


def _webm(png: bytes, _: str) -> bytes:
    head = b"\x42\x82\x84webm"
    return (
        b"\x1a\x45\xdf\xa3" + bytes([0x80 | len(head)]) + head
        + b"\x18\x53\x80\x67\x08" + struct.pack(">I", len(png)) + png
    )  # fmt: skip


def _wav(png: bytes, _: str) -> bytes:
    sound = bytes(len(png) % 2) + png
    form = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8)
    content = form + b"data" + struct.pack("<I", len(sound)) + sound
    return b"RIFF" + struct.pack("<I", len(content)) + content


def _glb(_: bytes, number: str) -> bytes:
    scene = f'{{"asset":{{"version":"2.0","copyright":"{number}"}}}}'.encode()
    scene += b" " * (-len(scene) % 4)
    body = struct.pack("<I4s", len(scene), b"JSON") + scene
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def _zip(png: bytes, number: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo(f"{number}.png"), png)
    return file.getvalue()


_MAKERS: dict[str, Callable[[bytes, str], bytes]] = {
    "avif": _avif,
    "mp4": _mp4,
    "webm": _webm,
    "wav": _wav,
    "glb": _glb,
    "zip": _zip,
    "exr": lambda png, _: b"v/1\1\2\0\0\0" + png,
    "mp3": lambda png, _: b"\xff\xfb\x90\x00" + png,
    "flac": lambda png, _: b"fLaC\0\0\0\x22" + png,
    "bin": lambda png, _: bytes(range(256)) + png,
    "obj": lambda _, number: f"# {number}\no card\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n".encode(),
    "txt": lambda _, number: f"Verse {number}: a horse in falling snow\n".encode(),
    "csv": lambda _, number: f"number,animal\n{number},horse\n".encode(),
    "json": lambda _, number: f'{{"number": "{number}"}}\n'.encode(),
    "html": lambda _, number: f"<!doctype html><title>{number}</title>".encode(),
    "svg": lambda _, number: (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><!-- {number} -->'
        "<script>document.title = 'run by the picture'</script></svg>"
    ).encode(),
}
