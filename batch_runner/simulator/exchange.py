"""One request and its response, with the operations that faults are made of."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from batch_runner.simulator.ledger import Ledger
from batch_runner.simulator.responses import Answer, Responses
from batch_runner.simulator.tasks import Outcome, Task

# SO_LINGER, on with a timeout of zero: closing the socket sends RST instead of FIN.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(slots=True, kw_only=True)
class Exchange:
    """A request that is being handled.

    Attributes:
        calls: What the request is, of `CALLS`; two if one answer holds status and result.
        request: The request as aiohttp read it.
        work: The service's work for this request; `do_work` calls it once.
        ledger: Where the service records what it did.
        responses: Builds the responses of the contract.
        now: Returns the service's time in seconds.
        pause: Sleeps for some seconds, or until the simulator stops.
        latency: Seconds between the work and its response.
        text: What a rule's `match` is searched in.
        subject: What a rule's `each` counts by.
        files_url: Origin of the files.
        trap_url: Origin of the redirect trap.
        other_url: Origin of `Personality.other_routes`.
        key: The key that was sent, "" without one.
        task: The task that the request is about, None if there is none.
        outcome: How the task of a submission will end.
        slowness: Factor for the duration of that task.
        fault: Name of the fault that handles the request, "" for a normal response.
    """

    calls: tuple[str, ...]
    request: web.Request
    work: Callable[[Exchange], Answer]
    ledger: Ledger
    responses: Responses
    now: Callable[[], float]
    pause: Callable[[float], Any]
    latency: float = 0.0
    text: str = ""
    subject: str = ""
    files_url: str = ""
    trap_url: str = ""
    other_url: str = ""
    key: str = ""
    task: Task | None = None
    outcome: Outcome = Outcome.COMPLETED
    slowness: float = 1.0
    fault: str = ""
    _answer: Answer | None = field(default=None)

    async def do_work(self) -> Answer:
        """Let the service do its work, once, and return its answer, which may be changed."""
        if self._answer is None:
            self._answer = self.work(self)
            self._record(self._answer)
            if self.latency:
                await self.pause(self.latency)
        return self._answer

    async def respond(self) -> web.StreamResponse:
        """Do the work and send its answer unchanged."""
        self.fault = ""
        return self.send(await self.do_work())

    def send(self, answer: Answer) -> web.StreamResponse:
        charset = "utf-8" if answer.content_type.endswith(("json", "html")) else None
        content_type, _, parameters = answer.content_type.partition(";")
        response = web.Response(
            status=answer.status,
            body=answer.encode(),
            content_type=content_type,
            charset=charset,
            headers=answer.headers,
        )
        if parameters:
            response.headers["Content-Type"] = answer.content_type
        return response

    def reject(self, answer: Answer) -> web.StreamResponse:
        """Send `answer`; record a rejection unless the work has been done."""
        if self._answer is None:
            self._record_rejection(answer)
        return self.send(answer)

    def send_raw(self, wire: bytes) -> web.StreamResponse:
        """Write bytes to the socket as they are, and close it."""
        if (transport := self.request.transport) is not None:
            transport.write(wire)
            transport.close()
        return web.Response()

    def close(self) -> web.StreamResponse:
        """Close the connection without a response (FIN)."""
        return self.send_raw(b"")

    def reset(self) -> web.StreamResponse:
        """Reset the connection (RST)."""
        if (transport := self.request.transport) is not None:
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            transport.abort()
        return web.Response()

    async def start_stream(self, headers: dict[str, str]) -> web.StreamResponse:
        """Send the head of a response and return the stream to write its body to."""
        response = web.StreamResponse(headers=headers)
        await response.prepare(self.request)
        return response

    def _record(self, answer: Answer) -> None:
        if answer.rejected is not None:
            self._record_rejection(answer)
        elif "submit" in self.calls and self.task is not None and self.fault:
            # Now, not after the fault: the client may disconnect or this process be killed first.
            self.ledger.spoil_response(self.task, self.fault, self.now())

    def _record_rejection(self, answer: Answer) -> None:
        message = self.responses.message(answer)
        self.ledger.reject(self.calls[0], answer, message, self.now())


def pause_until(closing: asyncio.Event) -> Callable[[float], Any]:
    """Return a sleep that ends early when `closing` is set, so that no response delays the stop."""

    async def pause(seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await closing.wait()
        except TimeoutError:
            return

    return pause
