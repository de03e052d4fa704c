"""Faults of complete responses that cannot be read. The work is done first."""

from __future__ import annotations

import json
import zlib
from functools import lru_cache
from typing import Any

from batch_runner.simulator.exchange import Exchange
from batch_runner.simulator.faults.registry import JSON_CALLS, Response, fault
from batch_runner.simulator.responses import Answer

MEGABYTE = 1 << 20
# Head of a gzip member: magic number, deflate, no name, no time, level, system.
GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"


async def _send(exchange: Exchange, content: bytes, **headers: str) -> Response:
    await exchange.do_work()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return exchange.send(Answer(content=content, headers=named))


@fault(*JSON_CALLS)
async def null(exchange: Exchange) -> Response:
    """Respond with null."""
    return await _send(exchange, b"null")


@fault(*JSON_CALLS)
async def empty_list(exchange: Exchange) -> Response:
    """Respond with []."""
    return await _send(exchange, b"[]")


@fault(*JSON_CALLS)
async def empty(exchange: Exchange) -> Response:
    """Respond with status 200 and no body."""
    return await _send(exchange, b"")


@fault(*JSON_CALLS)
async def text(exchange: Exchange) -> Response:
    """Respond with plain text, declared as JSON."""
    return await _send(exchange, b"OK, task submitted")


@fault(*JSON_CALLS)
async def wrong_type(exchange: Exchange) -> Response:
    """Send the normal response, declared as text/html."""
    answer = await exchange.do_work()
    return exchange.send(Answer(content=answer.encode(), content_type="text/html"))


@fault(*JSON_CALLS)
async def charset(exchange: Exchange, *, declared: str = "ascii", used: str = "gbk") -> Response:
    """Send the normal response in another encoding (gbk) than the declared one (ascii)."""
    answer = await exchange.do_work()
    body = json.dumps(answer.body, ensure_ascii=False).encode(used)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset={declared}\r\n"
    return exchange.send_raw(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


@fault(*JSON_CALLS)
async def bom(exchange: Exchange) -> Response:
    """Send the normal response after a byte order mark."""
    answer = await exchange.do_work()
    return await _send(exchange, b"\xef\xbb\xbf" + answer.encode())


@fault(*JSON_CALLS)
async def duplicate_keys(exchange: Exchange) -> Response:
    """Send code and data twice, with different values."""
    answer = await exchange.do_work()
    if not isinstance(answer.body, dict):
        return exchange.send(answer)
    twice = b'{"code": 500, "data": null, ' + answer.encode()[1:]
    return await _send(exchange, twice)


@fault(*JSON_CALLS)
async def nan(exchange: Exchange) -> Response:
    """Send NaN, which is not JSON, as the code."""
    answer = await exchange.do_work()
    if isinstance(answer.body, dict):
        answer.body |= {"code": float("nan")}
    return await _send(exchange, json.dumps(answer.body).encode())


@fault(*JSON_CALLS)
async def no_code(exchange: Exchange) -> Response:
    """Send the normal response without its code."""
    answer = await exchange.do_work()
    if isinstance(answer.body, dict):
        answer.body.pop("code", None)
    return exchange.send(answer)


@fault(*JSON_CALLS)
async def no_data(exchange: Exchange) -> Response:
    """Report success with null as data."""
    return await _with_data(exchange, None)


@fault(*JSON_CALLS)
async def empty_data(exchange: Exchange) -> Response:
    """Report success with [] as data."""
    return await _with_data(exchange, [])


async def _with_data(exchange: Exchange, data: Any) -> Response:
    answer = await exchange.do_work()
    exchange.responses.put_data(answer, data)
    return exchange.send(answer)


@fault(*JSON_CALLS)
async def deep(exchange: Exchange, *, depth: int = 100_000) -> Response:
    """Respond with 100,000 nested arrays."""
    return await _send(exchange, b"[" * depth + b"]" * depth)


@fault(*JSON_CALLS)
async def huge(exchange: Exchange, *, megabytes: int = 20) -> Response:
    """Send the normal response after 20 MB of spaces, streamed."""
    answer = await exchange.do_work()
    response = await exchange.start_stream({"Content-Type": "application/json"})
    for _ in range(megabytes):
        await response.write(b" " * MEGABYTE)
    await response.write(answer.encode())
    return response


@fault(*JSON_CALLS)
async def gzip_bomb(exchange: Exchange, *, megabytes: int = 200) -> Response:
    """Send 0.2 MB of gzip that decompress to 200 MB."""
    return await _send(exchange, _bomb(megabytes), Content_Encoding="gzip")


@lru_cache(2)
def _bomb(megabytes: int) -> bytes:
    """Return `megabytes` of spaces and an empty object, compressed."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packer.compress(b"")
    # A block that ends in a full flush refers to no earlier block, so it can be repeated.
    block = packer.compress(b" " * MEGABYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    end = packer.compress(b"{}") + packer.flush()
    check = 0
    for _ in range(megabytes):
        check = zlib.crc32(b" " * MEGABYTE, check)
    check = zlib.crc32(b"{}", check)
    size = (megabytes * MEGABYTE + 2) & 0xFFFFFFFF
    trailer = check.to_bytes(4, "little") + size.to_bytes(4, "little")
    return GZIP_HEAD + block * megabytes + end + trailer
