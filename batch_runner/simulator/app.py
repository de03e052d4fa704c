"""The contract's routes: requests in, exchanges made, honest answers or faults out.

Three applications on three ports, so three origins: the API (with the key), the files (without),
and the decoy, to which a redirect leads and where nothing should ever arrive.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from aiohttp import web

from batch_runner.simulator.responses import Answer, ResponseBuilder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from batch_runner.simulator.dispatcher import Dispatcher
    from batch_runner.simulator.exchange import Exchange

MEGABYTE = 1 << 20
LARGEST_UPLOAD = 512 * MEGABYTE


class Api:
    """The calls that carry the key."""

    def __init__(self, stage: Dispatcher) -> None:
        self._stage = stage

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the contract."""
        return [
            web.post("/v1/comfyui/create", self.create),
            web.get("/v1/comfyui/tasks/{task_id}/status", self.status),
            web.get("/v1/comfyui/tasks/{task_id}/result", self.result),
            web.post("/v1/resources/upload", self.upload),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST of a workflow and its params."""
        raw = await request.read()
        text = raw.decode(errors="replace")
        service = self._stage.service

        def work(exchange: Exchange) -> Answer:
            if request.content_type != "application/json":
                return service.voice.refusal(400, "Content-Type 必须为 application/json")
            answer, exchange.task = service.create(
                raw, fate=exchange.fate, slowness=exchange.slowness
            )
            return answer

        self._note_key_in(text, "body", request)
        return await self._play("create", request, work, text=text, subject=text)

    async def status(self, request: web.Request) -> web.StreamResponse:
        """GET of where a task stands."""
        task_id = request.match_info["task_id"]
        work = lambda _: self._stage.service.status(task_id)  # noqa: E731  one expression
        return await self._play_for_task("status", request, work)

    async def result(self, request: web.Request) -> web.StreamResponse:
        """GET of the URLs of a completed task."""
        task_id = request.match_info["task_id"]

        def work(exchange: Exchange) -> Answer:
            return self._stage.service.result(task_id, exchange.files_url)

        return await self._play_for_task("result", request, work)

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """POST of a file in the multipart field `file`."""
        file = await _read_upload(request)
        service = self._stage.service

        def work(exchange: Exchange) -> Answer:
            if file is None:
                return service.voice.refusal(400, "参数错误: file")
            return service.upload(**file, files_url=exchange.files_url)

        name = file["name"] if file else ""
        return await self._play("upload", request, work, text=name, subject=name)

    async def _play_for_task(
        self, call: str, request: web.Request, work: Callable[[Exchange], Answer]
    ) -> web.StreamResponse:
        task_id = request.match_info["task_id"]
        text = self._stage.text_of(task_id)
        return await self._play(call, request, work, text=text, subject=task_id)

    async def _play(
        self,
        call: str,
        request: web.Request,
        work: Callable[[Exchange], Answer],
        *,
        text: str,
        subject: str,
    ) -> web.StreamResponse:
        service = self._stage.service
        self._note_key_in(request.query_string, "query", request)

        def work_with_key(exchange: Exchange) -> Answer:
            refusal = service.refuse_key(request.headers.get("Authorization"))
            return work(exchange) if refusal is None else refusal

        return await self._stage.play(call, request, work_with_key, text=text, subject=subject)

    def _note_key_in(self, text: str, where: str, request: web.Request) -> None:
        if any(key in text for key in self._stage.service.keys_seen):
            self._stage.note_leak("api", request.path, where)


async def _read_upload(request: web.Request) -> dict[str, Any] | None:
    """Return name, size and digest of the field `file`, None when there is none."""
    if not request.content_type.startswith("multipart/"):
        return None
    try:
        async for part in await request.multipart():
            if getattr(part, "name", None) != "file":
                continue
            seen, size = hashlib.sha256(), 0
            while chunk := await part.read_chunk(MEGABYTE):  # type: ignore[union-attr]  # by name
                seen.update(chunk)
                size += len(chunk)
            name = getattr(part, "filename", None) or "file"
            return {"name": name, "size": size, "sha256": seen.hexdigest()}
    except ValueError:
        return None
    return None


class Files:
    """The other origin, where results are fetched without a key."""

    def __init__(self, stage: Dispatcher) -> None:
        self._stage = stage

    def routes(self) -> list[web.RouteDef]:
        """Return the one route of the files."""
        return [web.get("/outputs/{task_id}/{number:\\d+}.png", self.download)]

    async def download(self, request: web.Request) -> web.StreamResponse:
        """GET of one picture."""
        self._note_leaks(request)
        task_id = request.match_info["task_id"]
        text = self._stage.text_of(task_id)
        return await self._stage.play("download", request, self._file, text=text, subject=task_id)

    def _file(self, exchange: Exchange) -> Answer:
        service = self._stage.service
        request = exchange.request
        exchange.task = task = service.ledger.tasks.get(request.match_info["task_id"])
        number = int(request.match_info["number"])
        if task is None or not 1 <= number <= service.settings.outputs:
            return service.voice.refusal(404, "NoSuchKey")
        if not service.url_is_valid(request.query.get("expires")):
            return service.voice.refusal(403, "Request has expired")
        if request.method == "GET":
            service.ledger.looked("fetches", task, service.now())
        picture = self._stage.pictures.png(task, number)
        return Answer(content=picture, content_type="image/png")

    def _note_leaks(self, request: web.Request) -> None:
        keys = self._stage.service.keys_seen
        for name, value in request.headers.items():
            if name.lower() == "authorization" or any(key in value for key in keys):
                self._stage.note_leak("files", request.path, name)
        if any(key in request.query_string for key in keys):
            self._stage.note_leak("files", request.path, "query")


class RedirectTrap:
    """Where redirects lead: answers like a service and remembers whoever came."""

    def __init__(self, stage: Dispatcher) -> None:
        self._stage = stage

    def routes(self) -> list[web.RouteDef]:
        """Return a route for everything."""
        return [web.route("*", "/{path:.*}", self.take)]

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Note the visit, and answer temptingly well."""
        size = len(await request.read())
        service = self._stage.service
        keys = service.keys_seen
        carried = " ".join([*request.headers.values(), request.query_string])
        key = "Authorization" in request.headers or any(each in carried for each in keys)
        service.ledger.redirect(
            time=service.now(), method=request.method, path=request.path, key=key, size=size
        )
        if key:
            self._stage.note_leak("decoy", request.path, "headers")
        answer = service.voice.created("d" * 32)
        return web.json_response(answer.body)


@web.middleware
async def say_errors_in_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer unknown paths and methods as the service does."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return web.json_response(
            ResponseBuilder().refusal(error.status, error.reason).body, status=error.status
        )


def application(routes: list[web.RouteDef]) -> web.Application:
    """Return an application of these routes."""
    app = web.Application(client_max_size=LARGEST_UPLOAD, middlewares=[say_errors_in_json])
    app.add_routes(routes)
    return app
