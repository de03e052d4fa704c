"""One request and its answer, with every lever a fault may pull."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from batch_runner.simulator.tasks import Outcome, Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch_runner.simulator.responses import Answer
    from batch_runner.simulator.service import Service

# With linger on and zero seconds, close sends RST instead of FIN.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(slots=True, kw_only=True)
class Exchange:
    """A request under way.

    `answer()` lets the service do its work, once; until a fault calls it nothing has happened.
    `fault` names the one at work, empty when the answer will be honest.
    `text` is what a fault's `match` looks into, `subject` what its `each` counts by.
    """

    call: str
    request: web.Request
    service: Service
    work: Callable[[Exchange], Answer]
    pause: Callable[[float], Any]
    latency: float = 0.0
    text: str = ""
    subject: str = ""
    files_url: str = ""
    decoy_url: str = ""
    task: Task | None = None
    fate: Outcome = Outcome.COMPLETED
    slowness: float = 1.0
    fault: str = ""
    _answer: Answer | None = field(default=None)

    async def answer(self) -> Answer:
        """Do the service's work and return its answer, the caller's to bend."""
        if self._answer is None:
            self._answer = self.work(self)
            self._note(self._answer)
            if self.latency:
                await self.pause(self.latency)
        return self._answer

    async def honest(self) -> web.StreamResponse:
        """Do the work and answer by the contract."""
        self.fault = ""
        return self.send(await self.answer())

    def send(self, answer: Answer) -> web.StreamResponse:
        """Return `answer` as a response."""
        charset = "utf-8" if answer.content_type.endswith(("json", "html")) else None
        return web.Response(
            status=answer.status,
            body=answer.encode(),
            content_type=answer.content_type,
            charset=charset,
            headers=answer.headers,
        )

    def refuse(self, answer: Answer) -> web.StreamResponse:
        """Return `answer` and note that nothing was done, unless it was done before."""
        if self._answer is None:
            self._note_refusal(answer)
        return self.send(answer)

    def raw(self, wire: bytes) -> web.StreamResponse:
        """Put bytes on the wire as they are, and close."""
        if (transport := self.request.transport) is not None:
            transport.write(wire)
            transport.close()
        return web.Response()

    def close(self) -> web.StreamResponse:
        """Close the connection without a word (FIN)."""
        return self.raw(b"")

    def reset(self) -> web.StreamResponse:
        """Reset the connection (RST)."""
        if (transport := self.request.transport) is not None:
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            transport.abort()
        return web.Response()

    async def stream(self, headers: dict[str, str]) -> web.StreamResponse:
        """Begin an answer of unknown length; write to what is returned."""
        response = web.StreamResponse(headers=headers)
        await response.prepare(self.request)
        return response

    def _note(self, answer: Answer) -> None:
        if answer.status >= 400:
            self._note_refusal(answer)
        elif self.call == "create" and self.task is not None and self.fault:
            # At once: the client may be gone, or we be killed, before the fault has run its course.
            self.service.ledger.answered(self.task, self.fault, self.service.now())

    def _note_refusal(self, answer: Answer) -> None:
        message = answer.body["message"] if isinstance(answer.body, dict) else ""
        self.service.ledger.reject(
            self.call,
            answer.status,
            message,
            self.service.now(),
            key_ok=answer.status != 401,
        )


def pause_until(closing: asyncio.Event) -> Callable[[float], Any]:
    """Return a sleep that ends early when `closing` is set, so that hung answers end with us."""

    async def pause(seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await closing.wait()
        except TimeoutError:
            return

    return pause
