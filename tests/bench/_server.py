"""A minimal service in its own process, which costs its clients as little CPU as possible.

    python -m tests.bench._server [--bytes 10240] [--seconds 0] [--slots 1000000] [--tls]

Prints its port and answers until its standard input closes; then prints its counts as one JSON
line, which `/seen` also returns at any time. Plain protocol callbacks on keep-alive connections, no
framework. A task takes `--seconds`, and at most `--slots` tasks are worked on at once, in the order
of submission. With `--tls` it speaks HTTPS with the certificate `tests/fixtures/server.pem`.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import io
import json
import random
import ssl
import sys
import time
from pathlib import Path

from PIL import Image

from tests.bench._windows import most_in

CERTIFICATES = Path(__file__).parents[1] / "fixtures"


def picture(size: int) -> bytes:
    """Return a PNG of about `size` bytes."""
    side = max(1, int((size / 3) ** 0.5))
    noise = random.Random(1).randbytes(side * side * 3)
    file = io.BytesIO()
    Image.frombytes("RGB", (side, side), noise).save(file, "PNG", compress_level=0)
    return file.getvalue()


class Tasks:
    """The end of each task, by its number; a task id is that number in 32 hex digits."""

    def __init__(self, seconds: float, slots: int) -> None:
        self._seconds = seconds
        self._slots = slots
        self._busy: list[float] = []  # the moment at which each used slot is free again
        self._ends: list[float] = []
        self.submitted: list[float] = []
        self.polls = 0
        self._bodies: set[int] = set()
        self.repeats = 0

    def submit(self, body: bytes) -> str:
        """Accept one task and return its id."""
        self.repeats += hash(body) in self._bodies
        self._bodies.add(hash(body))
        now = time.monotonic()
        start = now
        if len(self._busy) >= self._slots:
            start = max(now, heapq.heappop(self._busy))
        heapq.heappush(self._busy, start + self._seconds)
        self._ends.append(start + self._seconds)
        self.submitted.append(now)
        return f"{len(self._ends) - 1:032x}"

    def done(self, task: str) -> bool:
        """Return whether a task has ended."""
        self.polls += 1
        return self._ends[int(task, 16)] <= time.monotonic()

    def seen(self) -> dict[str, float]:
        """Return the counts since the start."""
        span = self.submitted[-1] - self.submitted[0] if self.submitted else 0.0
        first = self.submitted[0] if self.submitted else 0.0
        return {
            "submissions": len(self.submitted),
            "repeats": self.repeats,
            "polls": self.polls,
            "span": span,
            "first": first,
        }


class Connection(asyncio.Protocol):
    """One connection; each request is answered at once."""

    def __init__(self, tasks: Tasks, file: bytes) -> None:
        self._tasks = tasks
        self._file = _response(file, "image/png")
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end]
            length = 0
            if head.startswith(b"POST"):
                at = head.lower().find(b"content-length:")
                length = int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self._received) < end + 4 + length:
                return
            body = self._received[end + 4 : end + 4 + length]
            self._received = self._received[end + 4 + length :]
            self._transport.write(self._reply(head.split(b" ", 2)[1].decode(), body))

    def _reply(self, path: str, body: bytes) -> bytes:
        if path.startswith("/file/"):
            return self._file
        if path == "/seen":
            return _json(self._tasks.seen())
        if path.endswith("/create"):
            return _json({"taskId": self._tasks.submit(body)})
        task, what = path.rsplit("/", 2)[1:]
        if what == "status":
            return _json({"status": "COMPLETED" if self._tasks.done(task) else "RUNNING"})
        port = self._transport.get_extra_info("sockname")[1]
        scheme = "http" if self._transport.get_extra_info("sslcontext") is None else "https"
        return _json({"urls": [f"{scheme}://127.0.0.1:{port}/file/{task}.png"]})


def _json(data: object) -> bytes:
    return _response(
        json.dumps({"code": 0, "message": "ok", "data": data}).encode(), "application/json"
    )


def _response(body: bytes, kind: str) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def tls_context() -> ssl.SSLContext:
    """Return the server's side of TLS: an ECDSA P-256 certificate, signed by an authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "server.pem", CERTIFICATES / "server-key.pem")
    return context


async def serve(tasks: Tasks, file: bytes, tls: ssl.SSLContext | None) -> None:
    """Answer on a free port until standard input closes."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(tasks, file), "127.0.0.1", 0, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    seen = tasks.seen() | {"worst": most_in(tasks.submitted, 1.0)}
    print(json.dumps(seen), flush=True)


def main() -> None:
    """Parse the options and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bytes", type=int, default=10240)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--slots", type=int, default=1_000_000)
    parser.add_argument("--tls", action="store_true")
    options = parser.parse_args()
    tls = tls_context() if options.tls else None
    asyncio.run(serve(Tasks(options.seconds, options.slots), picture(options.bytes), tls))


if __name__ == "__main__":
    main()
