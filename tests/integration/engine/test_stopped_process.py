"""A process that stood still (SIGSTOP, a closed lid) while an answer came."""

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


async def asked(answer: bytes) -> bytes:
    """Ask a service whose answer is there when the process has stood still for an hour."""
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


async def test_an_answer_that_came_meanwhile_is_read() -> None:
    assert await asked(ANSWER) == b'{"code":0}'


async def test_one_that_did_not_is_lost() -> None:
    with pytest.raises(ApiError, match="no response in time") as caught:
        await asked(b"")
    assert caught.value.failure is Failure.NO_RESPONSE
