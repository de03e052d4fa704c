"""Faults of connections: reset, closed, silent, slow, or no HTTP."""

from __future__ import annotations

from batch_runner.simulator.exchange import Exchange
from batch_runner.simulator.faults.registry import CALLS, JSON_CALLS, Response, fault

# Longer than any client should wait, short enough to end a connection that is forgotten.
HANG_SECONDS = 3600.0


@fault(*CALLS)
async def reset(exchange: Exchange) -> Response:
    """Reset the connection before the work is done."""
    return exchange.reset()


@fault(*CALLS)
async def lose_answer(exchange: Exchange) -> Response:
    """Do the work, then reset the connection: a submission is paid, its response lost."""
    await exchange.do_work()
    return exchange.reset()


@fault(*CALLS)
async def close(exchange: Exchange) -> Response:
    """Close the connection (no reset) before the work is done."""
    return exchange.close()


@fault(*CALLS)
async def close_late(exchange: Exchange) -> Response:
    """Do the work, then close the connection without a response: a submission is paid."""
    await exchange.do_work()
    return exchange.close()


@fault(*CALLS)
async def hang(exchange: Exchange, *, seconds: float = HANG_SECONDS) -> Response:
    """Send nothing for an hour, then reset; the work is not done."""
    await exchange.pause(seconds)
    return exchange.reset()


@fault(*CALLS)
async def hang_late(exchange: Exchange, *, seconds: float = HANG_SECONDS) -> Response:
    """Do the work, then send nothing for an hour and reset: a submission is paid."""
    await exchange.do_work()
    await exchange.pause(seconds)
    return exchange.reset()


@fault(*CALLS)
async def delay(exchange: Exchange, *, seconds: float = 5.0) -> Response:
    """Do the work and send the normal response, five seconds late."""
    await exchange.do_work()
    await exchange.pause(seconds)
    return await exchange.respond()


@fault(*CALLS)
async def drip(exchange: Exchange, *, seconds: float = 60.0, pieces: int = 20) -> Response:
    """Send the normal response in small pieces over a minute."""
    answer = await exchange.do_work()
    body = answer.encode()
    length = {"Content-Length": str(len(body)), "Content-Type": answer.content_type}
    response = await exchange.start_stream(length)
    step = -(-len(body) // max(1, pieces)) or 1
    for start in range(0, len(body), step):
        await response.write(body[start : start + step])
        await exchange.pause(seconds / max(1, pieces))
    return response


@fault(*CALLS)
async def garbage(exchange: Exchange) -> Response:
    """Do the work, then send bytes that are not HTTP."""
    await exchange.do_work()
    return exchange.send_raw(b"\x16\x03\x01\x00\xffSSH-2.0-nonsense\r\n\r\n\x00\x01\x02\r\n\r\n")


@fault(*JSON_CALLS)
async def half_json(exchange: Exchange) -> Response:
    """Send half the response, with the Content-Length of all of it."""
    body = (await exchange.do_work()).encode()
    return exchange.send_raw(_head(f"Content-Length: {len(body)}") + body[: len(body) // 2])


@fault(*JSON_CALLS)
async def half_json_closed(exchange: Exchange) -> Response:
    """Send half the response without a length, then close the connection."""
    body = (await exchange.do_work()).encode()
    return exchange.send_raw(_head("Connection: close") + body[: len(body) // 2])


@fault("download")
async def cut(exchange: Exchange) -> Response:
    """Send half the file, with the Content-Length of all of it."""
    body = (await exchange.do_work()).encode()
    head = _head(f"Content-Length: {len(body)}", content_type="image/png")
    return exchange.send_raw(head + body[: len(body) // 2])


@fault("download")
async def cut_closed(exchange: Exchange) -> Response:
    """Send half the file without a length, then close the connection."""
    body = (await exchange.do_work()).encode()
    head = _head("Connection: close", content_type="image/png")
    return exchange.send_raw(head + body[: len(body) // 2])


def _head(*fields: str, content_type: str = "application/json;charset=UTF-8") -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Type: {content_type}", *fields, "", ""]
    return "\r\n".join(lines).encode()
