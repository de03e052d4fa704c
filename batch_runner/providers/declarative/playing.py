"""Play a description against its own examples: every call, over a socket, on this machine only.

A server on the loopback interface answers with the examples, and with what every service may
answer one day: errors of gateways, pages of HTML, nothing. The provider must read the former as the
examples say, and must read no success into the latter.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import SecretStr

from batch_runner.errors import ApiError, Failure, UsageError
from batch_runner.models import TaskState
from batch_runner.providers.declarative.description import Description, ErrorExample, Examples
from batch_runner.providers.declarative.provider import DeclarativeProvider, key_placement
from batch_runner.providers.declarative.reading import read_description
from batch_runner.providers.declarative.responses import FAILURES
from batch_runner.providers.http import Http
from batch_runner.settings import Service, Settings
from batch_runner.util.locale import tr
from batch_runner.util.paths import utf8_text
from batch_runner.util.text import json_text, printable

_KEY = "sk-example-key-0123456789"
_FAILURES_OF_SUBMISSION = (Failure.NO_RESPONSE, Failure.AMBIGUOUS, Failure.REDIRECTED)
#: Responses to a submission from which nothing may be concluded.
_UNCLEAR = (
    ("HTTP 500", 500, b"<html>Internal Server Error</html>"),
    ("HTTP 502", 502, b""),
    ("a page of HTML", 200, b"<html>Welcome</html>"),
    ("an empty body", 200, b""),
    ("an empty object", 200, b"{}"),
    ("half a response", 200, b'{"data": {"'),
    ("a redirect", 302, b""),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a call did: `good` if the description reads it as its example says."""

    name: str
    seen: str
    good: bool = True


class _ExampleServer:
    """Answers every request with the same response and keeps what was requested."""

    def __init__(self) -> None:
        self.status, self.body = 200, b""
        self.next: list[Any] = []  # the responses to further requests, the last one to all
        self.requests: list[str] = []
        self.key_places: set[str] = set()
        self.url = ""

    def answer(self, content: Any, status: int = 200) -> None:
        """Set the response to all further requests."""
        self.status, self.body, self.next = status, self._filled(content), []

    def _filled(self, content: Any) -> bytes:
        return json_text(content).replace("{{ base_url }}", self.url).encode()

    async def handle(self, request: web.Request) -> web.Response:
        body = (await request.read()).decode(errors="replace")
        if any(_KEY in value for value in request.headers.values()):
            self.key_places.add("header")
        if _KEY in request.query_string:
            self.key_places.add("query")
        if _KEY in body:
            self.key_places.add("body")
        shown = printable(body.replace(_KEY, "KEY"), 300)
        path = request.path_qs.replace(_KEY, "KEY")
        self.requests.append(f"{request.method} {path} {shown}".rstrip())
        headers = {"Location": "/elsewhere"} if 300 <= self.status < 400 else {}
        answered = self.body
        if self.next:
            self.body = self._filled(self.next.pop(0))
        return web.Response(status=self.status, body=answered, headers=headers)


class _Player:
    """Plays one description."""

    def __init__(
        self, description: Description, provider: DeclarativeProvider, server: _ExampleServer
    ) -> None:
        assert description.examples is not None  # noqa: S101  checked by the caller
        self._description = description
        self._examples: Examples = description.examples
        self._provider = provider
        self._server = server
        self._task_id = ""

    async def play(self) -> AsyncIterator[Finding]:
        """Yield what each call did."""
        yield await self._submit()
        if not self._task_id:
            return
        async for finding in self._polls():
            yield finding
        for name in ("upload", "cancel", "exists"):
            if getattr(self._description, name) is not None:
                yield await self._further_call(name)
        for error in self._examples.errors:
            yield await self._error(error)
        for name, status, body in _UNCLEAR:
            yield await self._unclear(name, status, body)
        yield self._key()

    async def _submit(self) -> Finding:
        self._server.answer(self._examples.submit)
        try:
            submitted = await self._send()
        except ApiError as error:
            return self._bad("submit", str(error))
        self._task_id = submitted.task_id
        files = tr("; {count} files at once", count=len(submitted.urls)) if submitted.urls else ""
        return self._good("submit", tr("task {id}", id=submitted.task_id) + files)

    async def _send(self) -> Any:
        examples = self._examples
        return await self._provider.submit(
            examples.workflow, dict(examples.params), str(uuid.UUID(int=1))
        )

    async def _polls(self) -> AsyncIterator[Finding]:
        if self._description.status is None:
            return
        state = None
        for content in self._examples.status:
            self._server.answer(content)
            try:
                report = await self._provider.status(self._task_id)
            except ApiError as error:
                yield self._bad("status", str(error))
                continue
            state = report.state
            good = state is not TaskState.UNKNOWN_WORD
            progress = "" if report.progress is None else f", {report.progress:.0%}"
            yield self._finding("status", f"{report.word}: {state.value}{progress}", good=good)
        if state is not TaskState.COMPLETED:
            yield Finding("status", tr("no example of status completes the task"), good=False)
            return
        if self._examples.result is not None:
            self._server.answer(self._examples.result)
        if self._examples.further is not None:
            self._server.next = [self._examples.further]
        try:
            urls = await self._provider.result(self._task_id)
        except ApiError as error:
            yield self._bad("result", str(error))
            return
        yield self._good("result", ", ".join(printable(url, 100) for url in urls))

    async def _further_call(self, name: str) -> Finding:
        example = getattr(self._examples, name, None)
        if name == "upload" and example is None:
            return Finding(name, tr("there is no example of it"), good=False)
        self._server.answer(self._examples.submit if name == "exists" else example)
        seen = "ok"
        try:
            if name == "upload":
                seen = await self._provider.upload("photo.jpg", b"\xff\xd8\xff\xd9")
            elif name == "cancel":
                await self._provider.cancel(self._task_id)
            elif not await self._provider.exists(self._task_id):
                return self._bad(name, tr("the task was not found"))
        except ApiError as error:
            return self._bad(name, str(error))
        return self._good(name, printable(seen))

    async def _error(self, example: ErrorExample) -> Finding:
        self._server.answer(example.body, example.status)
        name = tr("error {means}", means=example.means)
        calls: dict[str, Callable[[], Any]] = {
            "submit": self._send,
            "status": lambda: self._provider.status(self._task_id),
            "result": lambda: self._provider.result(self._task_id),
            "upload": lambda: self._provider.upload("photo.jpg", b"\xff\xd8\xff\xd9"),
            "cancel": lambda: self._provider.cancel(self._task_id),
            "exists": lambda: self._provider.exists(self._task_id),
        }
        try:
            await calls[example.call]()
        except ApiError as error:
            wanted = FAILURES[example.means]
            return self._finding(name, str(error), good=error.failure is wanted)
        return self._bad(name, tr("the response was read as a success"))

    async def _unclear(self, name: str, status: int, body: bytes) -> Finding:
        self._server.status, self._server.body = status, body
        title = tr("submission answered by {what}", what=name)
        try:
            await self._send()
        except ApiError as error:
            return Finding(title, tr("held"), good=error.failure in _FAILURES_OF_SUBMISSION)
        return Finding(title, tr("the response was read as a success"), good=False)

    def _key(self) -> Finding:
        places = self._server.key_places
        key = self._description.key
        wanted = set() if key is None else {str(key_placement(self._description).place)}
        if places == wanted:
            seen = tr("only in the {place}", place=wanted.pop()) if wanted else tr("none is sent")
            return Finding("key", seen)
        return Finding(
            "key", tr("found in: {places}", places=", ".join(sorted(places))), good=False
        )

    def _good(self, name: str, seen: str) -> Finding:
        return self._finding(name, seen, good=True)

    def _bad(self, name: str, seen: str) -> Finding:
        return self._finding(name, seen, good=False)

    def _finding(self, name: str, seen: str, *, good: bool) -> Finding:
        """Return a finding with the request that led to it."""
        request = self._server.requests[-1] if self._server.requests else ""
        return Finding(name, f"{printable(seen, 300)}  ← {request}", good)


async def play(path: Path) -> list[Finding]:
    """Return what each call of the description at `path` did with its examples.

    Raises:
        UsageError: the description is invalid, or has no examples.
    """
    description = read_description(path)
    if description.examples is None:
        raise UsageError(
            tr(
                "{path} has no examples; add responses of the service under examples: "
                "(see `batch-runner help services`)",
                path=utf8_text(path),
            )
        )
    async with _serving() as server:
        service = Service(
            provider=path.name, base_url=server.url, key=SecretStr(_KEY), allow_private=True
        )
        settings = Settings()
        async with Http(service, settings, key=key_placement(description)) as http:
            provider = DeclarativeProvider(description, http, settings.retries)
            return [one async for one in _Player(description, provider, server).play()]


@asynccontextmanager
async def _serving() -> AsyncIterator[_ExampleServer]:
    server = _ExampleServer()
    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()
