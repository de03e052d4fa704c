"""Faults of files: wrong kind, wrong bytes, wrong length, no end."""

from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING

from PIL import Image

from batch_runner.simulator.faults.registry import fault
from batch_runner.simulator.responses import Answer

if TYPE_CHECKING:
    from batch_runner.simulator.exchange import Exchange
    from batch_runner.simulator.faults.registry import Response

CHUNK = 1 << 16  # bytes
MEGABYTE = 1 << 20


@fault("download")
async def missing(exchange: Exchange, *, status: int = 404) -> Response:
    """Say that the file is not there (404, or status=410, 403)."""
    return exchange.refuse(exchange.service.voice.refusal(status, "NoSuchKey"))


@fault("download")
async def empty_file(exchange: Exchange) -> Response:
    """Give a file of no bytes."""
    await exchange.answer()
    return exchange.send(Answer(content=b"", content_type="image/png"))


@fault("download")
async def bit_flip(exchange: Exchange) -> Response:
    """Give the right length with one bit wrong in the middle."""
    answer = await exchange.answer()
    content = bytearray(answer.encode())
    content[len(content) // 2] ^= 1
    answer.content = bytes(content)
    return exchange.send(answer)


@fault("download")
async def short_file(exchange: Exchange) -> Response:
    """Give a file without its last 20 bytes, with a Content-Length that agrees."""
    answer = await exchange.answer()
    answer.content = answer.encode()[:-20]
    return exchange.send(answer)


@fault("download")
async def trailing_bytes(exchange: Exchange, *, text: str = 'AIGC{"Label":"1"}') -> Response:
    """Give a complete file with more bytes after its end."""
    answer = await exchange.answer()
    answer.content = answer.encode() + text.encode()
    return exchange.send(answer)


@fault("download")
async def mislabelled(exchange: Exchange, *, content_type: str = "image/jpeg") -> Response:
    """Give a PNG declared as JPEG."""
    answer = await exchange.answer()
    answer.content_type = content_type
    return exchange.send(answer)


@fault("download")
async def html_as_png(exchange: Exchange) -> Response:
    """Give an HTML page under 200, declared as PNG."""
    await exchange.answer()
    page = b"<!doctype html><title>Sign in</title><p>Please sign in to see this file.</p>"
    return exchange.send(Answer(content=page, content_type="image/png"))


@fault("download")
async def other_kind(exchange: Exchange, *, kind: str = "jpeg") -> Response:
    """Give a JPEG (or kind=webp), declared as such, under a .png URL."""
    answer = await exchange.answer()
    if answer.status == 200:
        file = io.BytesIO()
        with Image.open(io.BytesIO(answer.encode())) as image:
            image.convert("RGB").save(file, kind.upper(), quality=85)
        answer = Answer(content=file.getvalue(), content_type=f"image/{kind}")
    return exchange.send(answer)


@fault("download")
async def gzipped(exchange: Exchange) -> Response:
    """Give the file with Content-Encoding: gzip, asked for or not."""
    answer = await exchange.answer()
    answer.content = gzip.compress(answer.encode(), 1)
    answer.headers["Content-Encoding"] = "gzip"
    return exchange.send(answer)


@fault("download")
async def unsized(exchange: Exchange) -> Response:
    """Give the whole file in chunks, without a Content-Length."""
    answer = await exchange.answer()
    response = await exchange.stream({"Content-Type": answer.content_type})
    await response.write(answer.encode())
    return response


@fault("download")
async def endless(exchange: Exchange, *, megabytes: int = 4096) -> Response:
    """Begin with the file and never stop (4 GB)."""
    answer = await exchange.answer()
    response = await exchange.stream({"Content-Type": answer.content_type})
    await response.write(answer.encode())
    for _ in range(megabytes * MEGABYTE // CHUNK):
        await response.write(bytes(CHUNK))
    return response
