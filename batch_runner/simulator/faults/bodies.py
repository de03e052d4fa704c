"""Faults of answers that arrive whole and cannot be read. The work is done first."""

from __future__ import annotations

import json
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from batch_runner.simulator.faults.registry import JSON_CALLS, fault
from batch_runner.simulator.responses import Answer

if TYPE_CHECKING:
    from batch_runner.simulator.exchange import Exchange
    from batch_runner.simulator.faults.registry import Response

MEGABYTE = 1 << 20
# A gzip member: magic, deflate, no name, no time, level, system.
GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"


async def _say(exchange: Exchange, content: bytes, **headers: str) -> Response:
    await exchange.answer()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return exchange.send(Answer(content=content, headers=named))


@fault(*JSON_CALLS)
async def null(exchange: Exchange) -> Response:
    """Answer null."""
    return await _say(exchange, b"null")


@fault(*JSON_CALLS)
async def empty_list(exchange: Exchange) -> Response:
    """Answer []."""
    return await _say(exchange, b"[]")


@fault(*JSON_CALLS)
async def empty(exchange: Exchange) -> Response:
    """Answer 200 with no body at all."""
    return await _say(exchange, b"")


@fault(*JSON_CALLS)
async def text(exchange: Exchange) -> Response:
    """Answer with words instead of JSON, declared as JSON."""
    return await _say(exchange, b"OK, task submitted")


@fault(*JSON_CALLS)
async def wrong_type(exchange: Exchange) -> Response:
    """Give the right answer, declared as text/html."""
    answer = await exchange.answer()
    return exchange.send(Answer(content=answer.encode(), content_type="text/html"))


@fault(*JSON_CALLS)
async def charset(exchange: Exchange, *, declared: str = "ascii", used: str = "gbk") -> Response:
    """Give the right answer in another encoding (gbk) than the one declared (ascii)."""
    answer = await exchange.answer()
    body = json.dumps(answer.body, ensure_ascii=False).encode(used)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset={declared}\r\n"
    return exchange.raw(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


@fault(*JSON_CALLS)
async def bom(exchange: Exchange) -> Response:
    """Give the right answer behind a byte order mark."""
    answer = await exchange.answer()
    return await _say(exchange, b"\xef\xbb\xbf" + answer.encode())


@fault(*JSON_CALLS)
async def duplicate_keys(exchange: Exchange) -> Response:
    """Name code and data twice, with contradicting values."""
    answer = await exchange.answer()
    twice = b'{"code": 500, "data": null, ' + answer.encode()[1:]
    return await _say(exchange, twice)


@fault(*JSON_CALLS)
async def nan(exchange: Exchange) -> Response:
    """Put NaN, which is not JSON, where the code belongs."""
    answer = await exchange.answer()
    return await _say(exchange, json.dumps(answer.body | {"code": float("nan")}).encode())


@fault(*JSON_CALLS)
async def no_code(exchange: Exchange) -> Response:
    """Leave the code out."""
    answer = await exchange.answer()
    del answer.body["code"]
    return exchange.send(answer)


@fault(*JSON_CALLS)
async def no_data(exchange: Exchange) -> Response:
    """Say success and give null as data."""
    return await _with_data(exchange, None)


@fault(*JSON_CALLS)
async def empty_data(exchange: Exchange) -> Response:
    """Say success and give [] as data."""
    return await _with_data(exchange, [])


async def _with_data(exchange: Exchange, data: Any) -> Response:
    answer = await exchange.answer()
    answer.body["data"] = data
    return exchange.send(answer)


@fault(*JSON_CALLS)
async def deep(exchange: Exchange, *, depth: int = 100_000) -> Response:
    """Answer with 100,000 arrays inside each other."""
    return await _say(exchange, b"[" * depth + b"]" * depth)


@fault(*JSON_CALLS)
async def huge(exchange: Exchange, *, megabytes: int = 20) -> Response:
    """Give the right answer behind 20 MB of spaces, streamed."""
    answer = await exchange.answer()
    response = await exchange.stream({"Content-Type": "application/json"})
    for _ in range(megabytes):
        await response.write(b" " * MEGABYTE)
    await response.write(answer.encode())
    return response


@fault(*JSON_CALLS)
async def gzip_bomb(exchange: Exchange, *, megabytes: int = 200) -> Response:
    """Send 0.2 MB of gzip that unpack to 200 MB."""
    return await _say(exchange, _bomb(megabytes), Content_Encoding="gzip")


@lru_cache(2)
def _bomb(megabytes: int) -> bytes:
    """Return gzip of that many megabytes of spaces and an empty object."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packer.compress(b"")
    # A block that ends in a full flush refers to nothing before it, so it can be repeated.
    block = packer.compress(b" " * MEGABYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    end = packer.compress(b"{}") + packer.flush()
    check = 0
    for _ in range(megabytes):
        check = zlib.crc32(b" " * MEGABYTE, check)
    check = zlib.crc32(b"{}", check)
    size = (megabytes * MEGABYTE + 2) & 0xFFFFFFFF
    trailer = check.to_bytes(4, "little") + size.to_bytes(4, "little")
    return GZIP_HEAD + block * megabytes + end + trailer
