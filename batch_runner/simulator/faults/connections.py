"""Faults of the wire: connections that break, hang, dribble or speak no HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch_runner.simulator.faults.registry import CALLS, JSON_CALLS, fault

if TYPE_CHECKING:
    from batch_runner.simulator.exchange import Exchange
    from batch_runner.simulator.faults.registry import Response

# Longer than any client should wait, short enough for a forgotten one to end.
HANG_SECONDS = 3600.0


@fault(*CALLS)
async def reset(exchange: Exchange) -> Response:
    """Reset the connection before anything is done."""
    return exchange.reset()


@fault(*CALLS)
async def lose_answer(exchange: Exchange) -> Response:
    """Do the work, then reset the connection: a create is paid, its answer lost."""
    await exchange.answer()
    return exchange.reset()


@fault(*CALLS)
async def close(exchange: Exchange) -> Response:
    """Close the connection (no reset) before anything is done."""
    return exchange.close()


@fault(*CALLS)
async def close_late(exchange: Exchange) -> Response:
    """Do the work, then close the connection without a word."""
    await exchange.answer()
    return exchange.close()


@fault(*CALLS)
async def hang(exchange: Exchange, *, seconds: float = HANG_SECONDS) -> Response:
    """Say nothing for an hour, do nothing, then reset."""
    await exchange.pause(seconds)
    return exchange.reset()


@fault(*CALLS)
async def hang_late(exchange: Exchange, *, seconds: float = HANG_SECONDS) -> Response:
    """Do the work, then say nothing for an hour: a create is paid."""
    await exchange.answer()
    await exchange.pause(seconds)
    return exchange.reset()


@fault(*CALLS)
async def delay(exchange: Exchange, *, seconds: float = 5.0) -> Response:
    """Do the work and answer by the contract, but late."""
    await exchange.answer()
    await exchange.pause(seconds)
    return await exchange.honest()


@fault(*CALLS)
async def drip(exchange: Exchange, *, seconds: float = 60.0, pieces: int = 20) -> Response:
    """Send the right answer in small pieces over a minute."""
    answer = await exchange.answer()
    body = answer.encode()
    length = {"Content-Length": str(len(body)), "Content-Type": answer.content_type}
    response = await exchange.stream(length)
    step = -(-len(body) // max(1, pieces)) or 1
    for start in range(0, len(body), step):
        await response.write(body[start : start + step])
        await exchange.pause(seconds / max(1, pieces))
    return response


@fault(*CALLS)
async def garbage(exchange: Exchange) -> Response:
    """Do the work, then send bytes that are not HTTP."""
    await exchange.answer()
    return exchange.raw(b"\x16\x03\x01\x00\xffSSH-2.0-nonsense\r\n\r\n\x00\x01\x02\r\n\r\n")


@fault(*JSON_CALLS)
async def half_json(exchange: Exchange) -> Response:
    """Promise the whole answer by Content-Length, send half of it."""
    body = (await exchange.answer()).encode()
    return exchange.raw(_head(f"Content-Length: {len(body)}") + body[: len(body) // 2])


@fault(*JSON_CALLS)
async def half_json_closed(exchange: Exchange) -> Response:
    """Send half the answer without a length, the close of the connection ending it."""
    body = (await exchange.answer()).encode()
    return exchange.raw(_head("Connection: close") + body[: len(body) // 2])


@fault("download")
async def cut(exchange: Exchange) -> Response:
    """Promise the whole file by Content-Length, send half of it."""
    body = (await exchange.answer()).encode()
    head = _head(f"Content-Length: {len(body)}", content_type="image/png")
    return exchange.raw(head + body[: len(body) // 2])


@fault("download")
async def cut_closed(exchange: Exchange) -> Response:
    """Send half the file without a length, the close of the connection ending it."""
    body = (await exchange.answer()).encode()
    head = _head("Connection: close", content_type="image/png")
    return exchange.raw(head + body[: len(body) // 2])


def _head(*fields: str, content_type: str = "application/json;charset=UTF-8") -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Type: {content_type}", *fields, "", ""]
    return "\r\n".join(lines).encode()
