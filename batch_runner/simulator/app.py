"""The HTTP routes of the contract.

Three applications on three ports, so three origins: the API (with a key), the files (without a
key), and the redirect trap, to which redirects point and which no client should request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from batch_runner.simulator.dispatcher import Dispatcher
from batch_runner.simulator.exchange import Exchange
from batch_runner.simulator.responses import Answer, ResponseBuilder

MEGABYTE = 1 << 20
MAX_UPLOAD_BYTES = 512 * MEGABYTE


class Api:
    """The calls that need a key."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/comfyui/create", self.submit),
            web.get("/v1/comfyui/tasks/{task_id}/status", self.status),
            web.get("/v1/comfyui/tasks/{task_id}/result", self.result),
            web.post("/v1/resources/upload", self.upload),
        ]

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """Handle a submission: a workflow and its params."""
        raw = await request.read()
        text = raw.decode(errors="replace")
        service = self._dispatcher.service

        def work(exchange: Exchange) -> Answer:
            if request.content_type != "application/json":
                return service.responses.error(400, "Content-Type 必须为 application/json")
            answer, exchange.task = service.submit(
                raw, outcome=exchange.outcome, slowness=exchange.slowness
            )
            return answer

        self._record_key_in(text, "body", request)
        return await self._handle("submit", request, work, text=text, subject=text)

    async def status(self, request: web.Request) -> web.StreamResponse:
        """Handle a poll."""
        task_id = request.match_info["task_id"]
        work = lambda _: self._dispatcher.service.status(task_id)  # noqa: E731  one expression
        return await self._handle_for_task("status", request, work)

    async def result(self, request: web.Request) -> web.StreamResponse:
        """Handle a request for the URLs of a completed task."""
        task_id = request.match_info["task_id"]

        def work(exchange: Exchange) -> Answer:
            return self._dispatcher.service.result(task_id, exchange.files_url)

        return await self._handle_for_task("result", request, work)

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """Handle an upload of a file in the multipart field `file`."""
        file = await _read_upload(request)
        service = self._dispatcher.service

        def work(exchange: Exchange) -> Answer:
            if file is None:
                return service.responses.error(400, "参数错误: file")
            return service.upload(**file, files_url=exchange.files_url)

        name = file["name"] if file else ""
        return await self._handle("upload", request, work, text=name, subject=name)

    async def _handle_for_task(
        self, call: str, request: web.Request, work: Callable[[Exchange], Answer]
    ) -> web.StreamResponse:
        task_id = request.match_info["task_id"]
        text = self._dispatcher.text_of(task_id)
        return await self._handle(call, request, work, text=text, subject=task_id)

    async def _handle(
        self,
        call: str,
        request: web.Request,
        work: Callable[[Exchange], Answer],
        *,
        text: str,
        subject: str,
    ) -> web.StreamResponse:
        service = self._dispatcher.service
        self._record_key_in(request.query_string, "query", request)

        def work_with_key(exchange: Exchange) -> Answer:
            error = service.check_key(request.headers.get("Authorization"))
            return work(exchange) if error is None else error

        return await self._dispatcher.handle(
            call, request, work_with_key, text=text, subject=subject
        )

    def _record_key_in(self, text: str, where: str, request: web.Request) -> None:
        if any(key in text for key in self._dispatcher.service.keys_seen):
            self._dispatcher.record_leak("api", request.path, where)


async def _read_upload(request: web.Request) -> dict[str, Any] | None:
    """Return name, size and SHA-256 of the field `file`, None if there is none."""
    if not request.content_type.startswith("multipart/"):
        return None
    try:
        async for part in await request.multipart():
            if getattr(part, "name", None) != "file":
                continue
            digest, size = hashlib.sha256(), 0
            while chunk := await part.read_chunk(MEGABYTE):  # type: ignore[union-attr]  # by name
                digest.update(chunk)
                size += len(chunk)
            name = getattr(part, "filename", None) or "file"
            return {"name": name, "size": size, "sha256": digest.hexdigest()}
    except ValueError:
        return None
    return None


class Files:
    """The other origin, from which results are downloaded without a key."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/outputs/{task_id}/{number:\\d+}.{ending:\\w+}", self.download)]

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Handle a download of one picture."""
        self._record_leaks(request)
        task_id = request.match_info["task_id"]
        text = self._dispatcher.text_of(task_id)
        return await self._dispatcher.handle(
            "download", request, self._file, text=text, subject=task_id
        )

    def _file(self, exchange: Exchange) -> Answer:
        service = self._dispatcher.service
        request = exchange.request
        exchange.task = task = service.ledger.tasks.get(request.match_info["task_id"])
        number = int(request.match_info["number"])
        if task is None or not 1 <= number <= service.settings.outputs:
            return service.responses.error(404, "NoSuchKey")
        if not service.url_is_valid(request.query.get("expires")):
            return service.responses.error(403, "Request has expired")
        if request.method == "GET":
            service.ledger.count("downloads", task, service.now())
        picture = self._dispatcher.pictures.png(task, number)
        return Answer(content=picture, content_type="image/png")

    def _record_leaks(self, request: web.Request) -> None:
        keys = self._dispatcher.service.keys_seen
        for name, value in request.headers.items():
            if name.lower() == "authorization" or any(key in value for key in keys):
                self._dispatcher.record_leak("files", request.path, name)
        if any(key in request.query_string for key in keys):
            self._dispatcher.record_leak("files", request.path, "query")


class RedirectTrap:
    """The target of redirects: records every request and accepts it as the API would."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/{path:.*}", self.accept)]

    async def accept(self, request: web.Request) -> web.StreamResponse:
        """Record the request and respond as to an accepted submission."""
        size = len(await request.read())
        service = self._dispatcher.service
        keys = service.keys_seen
        sent = " ".join([*request.headers.values(), request.query_string])
        key = "Authorization" in request.headers or any(each in sent for each in keys)
        service.ledger.redirect(
            time=service.now(), method=request.method, path=request.path, key=key, size=size
        )
        if key:
            self._dispatcher.record_leak("redirect-trap", request.path, "headers")
        answer = service.responses.submitted("d" * 32)
        return web.json_response(answer.body)


@web.middleware
async def respond_to_errors_in_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Respond to unknown paths and methods as the service does."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return web.json_response(
            ResponseBuilder().error(error.status, error.reason).body, status=error.status
        )


def application(routes: list[web.RouteDef]) -> web.Application:
    app = web.Application(client_max_size=MAX_UPLOAD_BYTES, middlewares=[respond_to_errors_in_json])
    app.add_routes(routes)
    return app
