"""A small HTTP proxy: CONNECT tunnels and forwarded requests, or an error instead."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class SmallProxy:
    """What the proxy was asked for, and how it answers."""

    def __init__(self, status: int | None, user: str | None) -> None:
        self.status = status  #: of every answer; None: it works
        self.user = user  #: "name:password" that it wants; None: nothing
        self.url = ""
        self.requests: list[str] = []  #: "METHOD target" of each

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._answer(reader, writer)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        line, _, rest = head.partition(b"\r\n")
        method, target, _ = line.decode().split(" ")
        self.requests.append(f"{method} {target}")
        status = self.status or (None if self._is_known(rest) else 407)
        if status is not None:
            writer.write(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
            return
        address = urlsplit(f"//{target}" if method == "CONNECT" else target)
        there, back = await asyncio.open_connection(address.hostname, address.port)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:  # one request on each connection
            kept = [one for one in rest.split(b"\r\n") if one and not one.startswith(b"Proxy-")]
            fields = b"\r\n".join([*kept, b"Connection: close", b"", b""])
            back.write(f"{method} {address.path or '/'} HTTP/1.1\r\n".encode() + fields)
        await asyncio.gather(copy_stream(reader, back), copy_stream(there, writer))

    def _is_known(self, head: bytes) -> bool:
        if self.user is None:
            return True
        return b"Basic " + base64.b64encode(self.user.encode()) in head


async def copy_stream(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Copy all bytes, until either side closes."""
    with suppress(OSError):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
        target.close()


@asynccontextmanager
async def small_proxy(
    *, status: int | None = None, user: str | None = None
) -> AsyncIterator[SmallProxy]:
    """Run a proxy on a free port."""
    proxy = SmallProxy(status, user)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
