"""A process that was stopped (SIGSTOP, closed laptop) while a response arrived."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import SecretStr

from batch_runner.errors import ApiError, Failure
from batch_runner.providers.http import Http
from batch_runner.settings import Service, Settings
from tests.clock import VirtualTimeLoop

pytestmark = pytest.mark.anyio

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"code":0}'


async def response_to_a_stopped_process(answer: bytes) -> bytes:
    """Send a request; the process is stopped for an hour after `answer` was sent."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        loop.skip(3600.0)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = "http://{}:{}".format(*server.sockets[0].getsockname())
    service = Service(provider="baicai", base_url=address, key=SecretStr("sk-a-key"))
    async with server, Http(service, Settings()) as http:
        return (await http.submit("/v1/comfyui/create", b"{}")).body


async def test_response_received_during_a_stop_is_read() -> None:
    assert await response_to_a_stopped_process(ANSWER) == b'{"code":0}'


async def test_missing_response_after_a_stop_is_a_timeout() -> None:
    with pytest.raises(ApiError, match="no response in time") as caught:
        await response_to_a_stopped_process(b"")
    assert caught.value.failure is Failure.NO_RESPONSE
