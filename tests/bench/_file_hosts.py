"""The minimal service with its files on hosts of their own, which answer late.

    python -m tests.bench._file_hosts [--files 1] [--latency 0.25] [--slower 1] [--hosts 1]

Like `_server`, of which it is a variant: a task is completed at once and has `--files` files on one
of `--hosts` hosts, the next task on the next one. A host answers after `--latency` seconds, the
first one after `--slower` times as many. In the counts, `slow` and `others` are the seconds from
the first submission to the last file of the first host, and of all other hosts.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import sys
import time

from tests.bench import _server


class FileHost(asyncio.Protocol):
    """One connection to a host of files; `ends` gets the time of each response."""

    def __init__(self, latency: float, file: bytes, ends: list[float]) -> None:
        self._latency = latency
        self._file = file
        self._ends = ends
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer a request after the latency."""
        asyncio.get_running_loop().call_later(self._latency, self._send)

    def _send(self) -> None:
        self._transport.write(self._file)
        self._ends.append(time.monotonic())


class Api(_server.Connection):
    """One connection to the service, whose results name files on `ports`."""

    def __init__(self, tasks: _server.Tasks, ports: list[int], files: int) -> None:
        super().__init__(tasks, b"")
        self._ports = ports
        self._files = files

    def _reply(self, path: str, body: bytes) -> bytes:
        if path.endswith(("/create", "/status", "/seen")):
            return super()._reply(path, body)
        task = path.rsplit("/", 2)[1]
        port = self._ports[int(task, 16) % len(self._ports)]
        numbers = range(self._files)
        urls = [f"http://127.0.0.1:{port}/file/{task}-{number}.png" for number in numbers]
        answer = {"code": 0, "message": "ok", "data": {"urls": urls}}
        return _response(json.dumps(answer).encode(), "application/json")


def _response(body: bytes, kind: str) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def serve(options: argparse.Namespace) -> None:
    """Answer on free ports until standard input closes."""
    loop = asyncio.get_running_loop()
    file = _response(_server.picture(1000), "image/png")
    tasks, ports = _server.Tasks(0.0, 1_000_000), list[int]()
    ends: list[list[float]] = [[] for _ in range(options.hosts)]
    servers = []
    for number, own in enumerate(ends):
        latency = options.latency * (options.slower if number == 0 else 1.0)
        host = functools.partial(FileHost, latency, file, own)
        server = await loop.create_server(host, "127.0.0.1", 0)
        servers.append(server)
        ports.append(server.sockets[0].getsockname()[1])
    api = await loop.create_server(lambda: Api(tasks, ports, options.files), "127.0.0.1", 0)
    print(api.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    begun, (slow, *others) = tasks.submitted[0], ends
    last = max((own[-1] for own in others if own), default=begun)
    times = {"slow": slow[-1] - begun, "others": last - begun}
    print(json.dumps(tasks.seen() | times), flush=True)


def main() -> None:
    """Parse the options and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=1)
    parser.add_argument("--hosts", type=int, default=1)
    parser.add_argument("--latency", type=float, default=0.25)
    parser.add_argument("--slower", type=float, default=1.0)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
