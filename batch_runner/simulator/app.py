"""The HTTP routes that are the same for every personality.

Each has a port of its own, so its origin: the files (without a key), and the redirect trap, to
which redirects point and which no client should request. The routes of the API (with a key) are
those of the personality.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from batch_runner.simulator.dispatcher import Dispatcher
from batch_runner.simulator.exchange import Exchange
from batch_runner.simulator.responses import Answer, Responses
from batch_runner.simulator.samples import CONTENT_TYPES, sample

MEGABYTE = 1 << 20
MAX_UPLOAD_BYTES = 512 * MEGABYTE


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
            ("download",), request, self._file, text=text, subject=task_id
        )

    def _file(self, exchange: Exchange) -> Answer:
        service, responses = self._dispatcher.service, self._dispatcher.responses
        request = exchange.request
        exchange.task = task = service.ledger.tasks.get(request.match_info["task_id"])
        number = int(request.match_info["number"])
        if task is None or not 1 <= number <= service.settings.outputs:
            return responses.error(404, "NoSuchKey")
        if not service.url_is_valid(request.query.get("expires")):
            return responses.error(403, "Request has expired")
        if request.method == "GET":
            service.count("downloads", task)
        picture = self._dispatcher.pictures.png(task, number)
        if task.file_type == "png":
            return Answer(content=picture, content_type="image/png")
        kind = task.file_type
        return Answer(content=sample(kind, picture), content_type=CONTENT_TYPES[kind])

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
        answer = self._dispatcher.responses.submitted("d" * 32)
        return web.json_response(answer.body)


def application(routes: list[web.RouteDef], responses: Responses) -> web.Application:
    """Return an application that responds to unknown paths and methods as the service does."""

    @web.middleware
    async def respond_to_errors(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            answer = responses.http_error(error.status, error.reason)
            body, kind = answer.encode(), answer.content_type
            return web.Response(body=body, status=error.status, content_type=kind, charset="utf-8")

    app = web.Application(client_max_size=MAX_UPLOAD_BYTES, middlewares=[respond_to_errors])
    app.add_routes(routes)
    return app
