"""Faults of files: wrong type, wrong bytes, wrong length, endless."""

from __future__ import annotations

import gzip

from batch_runner.simulator.exchange import Exchange
from batch_runner.simulator.faults.registry import Response, fault
from batch_runner.simulator.responses import Answer
from batch_runner.simulator.samples import CONTENT_TYPES, sample

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
async def other_kind(
    exchange: Exchange, *, kind: str = "jpeg", content_type: str = "", number: int = 0
) -> Response:
    """Send a JPEG for a .png URL, declared as such (or kind=webm, mp3, glb, zip, txt, svg, …).

    `content_type` declares another type; `number` sends only that file of each task as one.
    """
    answer = await exchange.do_work()
    if answer.status == 200 and number in (0, int(exchange.request.match_info["number"])):
        content = sample(kind, answer.encode())
        answer = Answer(content=content, content_type=content_type or CONTENT_TYPES[kind])
    return exchange.send(answer)


@fault("download")
async def gzipped(exchange: Exchange, *, kind: str = "") -> Response:
    """Send the file (or kind=webm, …) with Content-Encoding: gzip, which no client asked for."""
    answer = await exchange.do_work()
    content = sample(kind, answer.encode()) if kind and answer.status == 200 else answer.encode()
    answer.content = gzip.compress(content, 1)
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
async def no_length(exchange: Exchange, *, kind: str = "", bytes_missing: int = 0) -> Response:
    """Send the file (or kind=webm, …) without its length, and close the connection after it.

    `bytes_missing` leaves so many bytes out at its end.
    """
    return await _send_raw(exchange, kind, None, bytes_missing)


@fault("download")
async def wrong_length(exchange: Exchange, *, kind: str = "", by: int = 100) -> Response:
    """Announce 100 bytes more than the file has (or by=…)."""
    return await _send_raw(exchange, kind, by, 0)


@fault("download")
async def no_type(exchange: Exchange, *, kind: str = "") -> Response:
    """Send the file (or kind=webm, …) without a Content-Type."""
    return await _send_raw(exchange, kind, 0, 0)


async def _send_raw(
    exchange: Exchange, kind: str, length_error: int | None, bytes_missing: int
) -> Response:
    """Send a file with a head of its own; `length_error` None: without a length."""
    answer = await exchange.do_work()
    if answer.status != 200:
        return exchange.send(answer)
    content = sample(kind, answer.encode()) if kind else answer.encode()
    content = content[: len(content) - bytes_missing]
    head = "HTTP/1.1 200 OK\r\nConnection: close\r\n"
    if length_error is not None:
        head += f"Content-Length: {len(content) + length_error}\r\n"
    return exchange.send_raw(f"{head}\r\n".encode() + content)


@fault("download")
async def enormous(exchange: Exchange, *, megabytes: int = 10_000) -> Response:
    """Announce a file of 10 GB (or megabytes=…), and send its beginning."""
    answer = await exchange.do_work()
    if answer.status != 200:
        return exchange.send(answer)
    length = megabytes * 1_000_000
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
    return exchange.send_raw(head.encode() + answer.encode())


@fault("download")
async def endless(exchange: Exchange, *, megabytes: int = 4096) -> Response:
    """Send the file, then zero bytes without end (4 GB)."""
    answer = await exchange.do_work()
    response = await exchange.start_stream({"Content-Type": answer.content_type})
    await response.write(answer.encode())
    for _ in range(megabytes * MEGABYTE // CHUNK):
        await response.write(bytes(CHUNK))
    return response
