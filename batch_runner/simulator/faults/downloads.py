"""Faults of files: wrong type, wrong bytes, wrong length, endless."""

from __future__ import annotations

import gzip
import io

from PIL import Image

from batch_runner.simulator.exchange import Exchange
from batch_runner.simulator.faults.registry import Response, fault
from batch_runner.simulator.responses import Answer

CHUNK = 1 << 16  # bytes
MEGABYTE = 1 << 20


@fault("download")
async def missing(exchange: Exchange, *, status: int = 404) -> Response:
    """Respond that there is no such file (404, or status=410, 403)."""
    return exchange.reject(exchange.responses.error(status, "NoSuchKey"))


@fault("download")
async def empty_file(exchange: Exchange) -> Response:
    """Send an empty file."""
    await exchange.do_work()
    return exchange.send(Answer(content=b"", content_type="image/png"))


@fault("download")
async def bit_flip(exchange: Exchange) -> Response:
    """Send the file with one wrong bit in the middle."""
    answer = await exchange.do_work()
    content = bytearray(answer.encode())
    content[len(content) // 2] ^= 1
    answer.content = bytes(content)
    return exchange.send(answer)


@fault("download")
async def short_file(exchange: Exchange) -> Response:
    """Send the file without its last 20 bytes, with a matching Content-Length."""
    answer = await exchange.do_work()
    answer.content = answer.encode()[:-20]
    return exchange.send(answer)


@fault("download")
async def trailing_bytes(exchange: Exchange, *, text: str = 'AIGC{"Label":"1"}') -> Response:
    """Send the complete file with more bytes after its end."""
    answer = await exchange.do_work()
    answer.content = answer.encode() + text.encode()
    return exchange.send(answer)


@fault("download")
async def mislabelled(exchange: Exchange, *, content_type: str = "image/jpeg") -> Response:
    """Send the PNG, declared as JPEG."""
    answer = await exchange.do_work()
    answer.content_type = content_type
    return exchange.send(answer)


@fault("download")
async def html_as_png(exchange: Exchange) -> Response:
    """Send an HTML page with status 200, declared as PNG."""
    await exchange.do_work()
    page = b"<!doctype html><title>Sign in</title><p>Please sign in to see this file.</p>"
    return exchange.send(Answer(content=page, content_type="image/png"))


@fault("download")
async def other_kind(exchange: Exchange, *, kind: str = "jpeg") -> Response:
    """Send a JPEG (or kind=webp), declared as such, for a .png URL."""
    answer = await exchange.do_work()
    if answer.status == 200:
        file = io.BytesIO()
        with Image.open(io.BytesIO(answer.encode())) as image:
            image.convert("RGB").save(file, kind.upper(), quality=85)
        answer = Answer(content=file.getvalue(), content_type=f"image/{kind}")
    return exchange.send(answer)


@fault("download")
async def gzipped(exchange: Exchange) -> Response:
    """Send the file with Content-Encoding: gzip, whether or not the client accepts it."""
    answer = await exchange.do_work()
    answer.content = gzip.compress(answer.encode(), 1)
    answer.headers["Content-Encoding"] = "gzip"
    return exchange.send(answer)


@fault("download")
async def unsized(exchange: Exchange) -> Response:
    """Send the complete file in chunks, without a Content-Length."""
    answer = await exchange.do_work()
    response = await exchange.start_stream({"Content-Type": answer.content_type})
    await response.write(answer.encode())
    return response


@fault("download")
async def endless(exchange: Exchange, *, megabytes: int = 4096) -> Response:
    """Send the file, then zero bytes without end (4 GB)."""
    answer = await exchange.do_work()
    response = await exchange.start_stream({"Content-Type": answer.content_type})
    await response.write(answer.encode())
    for _ in range(megabytes * MEGABYTE // CHUNK):
        await response.write(bytes(CHUNK))
    return response
