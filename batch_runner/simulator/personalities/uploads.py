"""Reading of multipart uploads: the file's name, size and SHA-256, and the other fields."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from aiohttp import web

CHUNK = 1 << 20  # bytes
MAX_FIELD_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file that was sent; its bytes are not kept."""

    name: str
    size: int
    sha256: str


async def read_upload(
    request: web.Request, field: str
) -> tuple[UploadedFile | None, dict[str, str]]:
    """Return the file in the multipart field `field`, None if there is none, and other fields."""
    file, others = None, {}
    if not request.content_type.startswith("multipart/"):
        return None, {}
    try:
        async for part in await request.multipart():
            name = getattr(part, "name", None)
            digest, size, start = hashlib.sha256(), 0, b""
            while chunk := await part.read_chunk(CHUNK):  # type: ignore[union-attr]  # by name
                digest.update(chunk)
                size += len(chunk)
                start = (start + chunk)[:MAX_FIELD_BYTES]
            if name == field:
                called = getattr(part, "filename", None) or "file"
                file = UploadedFile(called, size, digest.hexdigest())
            elif name:
                others[name] = start.decode(errors="replace")
    except ValueError:
        return None, {}
    return file, others
