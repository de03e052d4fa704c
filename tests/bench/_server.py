"""A service that costs its clients as little as a service can, in a process of its own.

    python -m tests.bench._server [--bytes 10240] [--seconds 0] [--slots 1000000]

Prints its port, and answers until its standard input closes; then prints one JSON line of what it
saw, which `/seen` tells at any time. Plain protocol callbacks on kept-alive connections, no
framework. A task takes `--seconds`, and at most `--slots` of them are worked on at a time, in the
order they came.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import io
import json
import random
import sys
import time

from PIL import Image

from tests.bench._windows import most_in


def picture(size: int) -> bytes:
    """Return a PNG of about `size` bytes."""
    side = max(1, int((size / 3) ** 0.5))
    noise = random.Random(1).randbytes(side * side * 3)
    file = io.BytesIO()
    Image.frombytes("RGB", (side, side), noise).save(file, "PNG", compress_level=0)
    return file.getvalue()


class Tasks:
    """When each task ends, by its number; ids are that number in 32 hex digits."""

    def __init__(self, seconds: float, slots: int) -> None:
        self._seconds = seconds
        self._slots = slots
        self._busy: list[float] = []  # when each slot in use is free again
        self._ends: list[float] = []
        self.created: list[float] = []
        self.polls = 0
        self._bodies: set[int] = set()
        self.repeats = 0

    def create(self, body: bytes) -> str:
        """Take one task and return its id."""
        self.repeats += hash(body) in self._bodies
        self._bodies.add(hash(body))
        now = time.monotonic()
        start = now
        if len(self._busy) >= self._slots:
            start = max(now, heapq.heappop(self._busy))
        heapq.heappush(self._busy, start + self._seconds)
        self._ends.append(start + self._seconds)
        self.created.append(now)
        return f"{len(self._ends) - 1:032x}"

    def done(self, task: str) -> bool:
        """Say whether a task has ended."""
        self.polls += 1
        return self._ends[int(task, 16)] <= time.monotonic()

    def seen(self) -> dict[str, float]:
        """Return the figures of everything since the start."""
        span = self.created[-1] - self.created[0] if self.created else 0.0
        first = self.created[0] if self.created else 0.0
        return {
            "submissions": len(self.created),
            "repeats": self.repeats,
            "polls": self.polls,
            "span": span,
            "first": first,
        }


class Connection(asyncio.Protocol):
    """One connection: as many requests as come, each answered at once."""

    def __init__(self, tasks: Tasks, file: bytes) -> None:
        self._tasks = tasks
        self._file = _answer(file, "image/png")
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
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
            return _json({"taskId": self._tasks.create(body)})
        task, what = path.rsplit("/", 2)[1:]
        if what == "status":
            return _json({"status": "COMPLETED" if self._tasks.done(task) else "RUNNING"})
        port = self._transport.get_extra_info("sockname")[1]
        return _json({"urls": [f"http://127.0.0.1:{port}/file/{task}.png"]})


def _json(data: object) -> bytes:
    return _answer(
        json.dumps({"code": 0, "message": "ok", "data": data}).encode(), "application/json"
    )


def _answer(body: bytes, kind: str) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def serve(tasks: Tasks, file: bytes) -> None:
    """Answer on a port of its own until standard input closes."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(tasks, file), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    told = tasks.seen() | {"worst": most_in(tasks.created, 1.0)}
    print(json.dumps(told), flush=True)


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bytes", type=int, default=10240)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--slots", type=int, default=1_000_000)
    options = parser.parse_args()
    asyncio.run(serve(Tasks(options.seconds, options.slots), picture(options.bytes)))


if __name__ == "__main__":
    main()
