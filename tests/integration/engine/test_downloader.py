"""A download that ends in the middle leaves no thread at work behind its back."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable

import anyio.to_thread
import pytest
from pydantic import SecretStr

from batch_runner.errors import ApiError, Failure
from batch_runner.providers.http import Http
from batch_runner.settings import Service, Settings
from tests.clock import VirtualTimeLoop

pytestmark = pytest.mark.anyio


def that_waits_for(seconds: float) -> Settings:
    timeouts = Settings().timeouts.model_copy(update={"download": seconds})
    return Settings().model_copy(update={"timeouts": timeouts})


async def send_for_ever(_: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
    out.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    with contextlib.suppress(OSError):
        while True:
            out.write(bytes(1 << 16))
            await out.drain()


async def test_a_download_out_of_time_waits_for_the_thread_that_writes_what_has_come() -> None:
    """It would write on, into whatever file gets the descriptor that is closed meanwhile."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    begun, written = threading.Event(), threading.Event()

    def write() -> None:
        begun.set()
        loop.call_soon_threadsafe(loop.skip, 1.0)  # longer than the download has
        time.sleep(0.3)
        written.set()

    def receive(chunk: bytes) -> Awaitable[None] | None:
        return None if begun.is_set() else anyio.to_thread.run_sync(write)

    server = await asyncio.start_server(send_for_ever, "127.0.0.1", 0)
    address = "http://{}:{}".format(*server.sockets[0].getsockname())
    service = Service(provider="baicai", base_url=address, key=SecretStr("sk-a-key"))
    async with server, Http(service, that_waits_for(0.05)) as http:
        with pytest.raises(ApiError) as caught:
            await http.download(f"{address}/any.png", receive)

    assert caught.value.failure is Failure.NO_RESPONSE
    assert begun.is_set()
    assert written.is_set()
