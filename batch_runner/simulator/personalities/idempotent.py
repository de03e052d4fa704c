"""A made-up service of the usual REST shape, which honours the header `Idempotency-Key`.

The same key with the same body within `idempotency_life` returns the same task and is not paid
again; with another body it is an error. Later, the key makes a new task, which is paid. With the
variants `immediate_url` and `immediate_base64` the response to a submission holds the result.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from aiohttp import web

from batch_runner.simulator.exchange import Exchange
from batch_runner.simulator.personalities import base
from batch_runner.simulator.personalities.uploads import read_upload
from batch_runner.simulator.responses import Answer, Path, Responses
from batch_runner.simulator.tasks import Task


class RestResponses(Responses):
    """A task as an object, an error as another one."""

    places: ClassVar[Mapping[str, Path]] = {
        "task_id": ("id",),
        "state": ("status",),
        "progress": ("progress",),
    }
    words: ClassVar[Mapping[str, str]] = {
        "PENDING": "queued",
        "RUNNING": "processing",
        "COMPLETED": "succeeded",
        "FAILED": "failed",
        "CANCELED": "cancelled",
        "MODERATED": "failed",
        "WITHHELD": "failed",
    }

    def failure(self, status: int, code: str, message: str) -> Answer:
        """Return an error response with a code, which is a word."""
        return Answer(status, {"error": {"code": code, "message": message}})

    def error(self, status: int, message: str, *, code: int | None = None) -> Answer:
        return self.failure(status, "error" if code is None else f"error_{code}", message)

    def wrong_key(self, *, missing: bool) -> Answer:
        return self.failure(401, "unauthorized", "the API key is missing or not valid")

    def unknown_task(self) -> Answer:
        return self.failure(404, "not_found", "there is no such task")

    def moderated(self, status: int | None = None, code: int | None = None) -> Answer:
        return self.failure(status or 422, "content_policy", "the prompt is not allowed")

    def no_balance(self, status: int | None = None, code: int | None = None) -> Answer:
        return self.failure(status or 402, "insufficient_balance", "the account is empty")

    def busy(self, status: int | None = None) -> Answer:
        return self.failure(status or 429, "rate_limited", "too many requests")

    def message(self, answer: Answer) -> str:
        error = answer.body.get("error") if isinstance(answer.body, dict) else None
        return str(error["message"]) if isinstance(error, dict) else ""

    def submitted(self, task_id: str) -> Answer:
        return Answer(201, {"id": task_id, "status": "queued", "progress": 0, "output": None})

    def change_urls(self, answer: Answer, change: Callable[[list[Any]], list[Any]]) -> None:
        output = answer.body.get("output") if isinstance(answer.body, dict) else None
        if isinstance(output, list):
            answer.body["output"] = [
                {"url": url} for url in change([each.get("url") for each in output])
            ]


class Personality(base.Personality[RestResponses]):
    """Tasks that are made, asked for and deleted, and uploads."""

    responses_class = RestResponses

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/tasks", self.submit),
            web.get("/v1/tasks/{task_id}", self.status),
            web.delete("/v1/tasks/{task_id}", self.cancel),
            web.post("/v1/files", self.upload),
        ]

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """Handle a submission, or one more with the same idempotency key."""
        content, text = await base.read_json(request)

        def work(exchange: Exchange) -> Answer:
            return self.limit_error() or self._accept(exchange, content, text)

        return await self.handle(("submit",), request, work, text=text, subject=text)

    def _accept(self, exchange: Exchange, content: Any, text: str) -> Answer:
        key = exchange.request.headers.get("Idempotency-Key")
        earlier = self.service.ledger.by_request_id.get(key or "")
        life = self.service.settings.idempotency_life
        if earlier is not None and self.service.now() < earlier.submitted_at + life:
            return self._repeated(exchange, earlier, text)
        if not isinstance(content, dict) or not isinstance(content.get("input"), dict):
            return self._failure(400, "invalid_request", "input: an object is required")
        model = content.get("model")
        if not isinstance(model, str) or not model:
            return self._failure(400, "invalid_request", "model: a text is required")
        accepted = self.service.settings.workflows
        if accepted and model not in accepted:
            return self._failure(404, "no_such_model", f"there is no model {model}")
        exchange.task = task = self.service.submit(
            exchange,
            task_id=f"task_{secrets.token_hex(12)}",
            workflow=model,
            params=content["input"],
            body=text,
            seconds=0.0 if self._immediate else None,
            request_id=key,
        )
        return Answer(201, self._report(exchange, task))

    def _repeated(self, exchange: Exchange, task: Task, text: str) -> Answer:
        if text != task.body:
            said = "this Idempotency-Key was used with another body"
            return self._failure(409, "idempotency_key_reused", said)
        self.service.count("repeats", task)
        if task.lost:
            return self._failure(404, "not_found", "there is no such task")
        headers = {"Idempotency-Replayed": "true"}
        return Answer(201, self._report(exchange, task), headers=headers)

    async def status(self, request: web.Request) -> web.StreamResponse:
        """Handle a poll, whose answer holds the result."""

        def work(exchange: Exchange, task: Task) -> Answer:
            self.service.count("polls", task)
            return Answer(body=self._report(exchange, task))

        task_id = request.match_info["task_id"]
        return await self.handle_for_task(self.status_calls(task_id), request, task_id, work)

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """Handle a cancellation; a task that has ended stays as it is."""

        def work(exchange: Exchange, task: Task) -> Answer:
            self.service.cancel(task)
            return Answer(body=self._report(exchange, task))

        return await self.handle_for_task(("cancel",), request, request.match_info["task_id"], work)

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """Handle an upload in the multipart field `file`."""
        file, _ = await read_upload(request, "file")

        def work(exchange: Exchange) -> Answer:
            if file is None:
                return self._failure(400, "invalid_request", "file: a file is required")
            path = f"/uploads/{file.sha256[:32]}"
            self.service.store(file, path)
            return Answer(201, {"id": f"file_{file.sha256[:24]}", "url": exchange.files_url + path})

        name = file.name if file else ""
        return await self.handle(("upload",), request, work, text=name, subject=name)

    @property
    def _immediate(self) -> bool:
        return any(name.startswith("immediate_") for name in self.service.settings.variants)

    def _report(self, exchange: Exchange, task: Task) -> dict[str, Any]:
        """Return the object that stands for a task."""
        state = self.service.state(task)
        percent = self.service.progress(task, state)
        word = self.responses.word(state)
        body: dict[str, Any] = {"id": task.id, "status": word, "output": None, "error": None}
        if percent is not None:
            body["progress"] = float(percent) / 100
        if state == "COMPLETED":
            self.service.count("results", task)
            body["output"] = self._output(exchange, task)
        elif state in ("FAILED", "MODERATED", "WITHHELD"):
            code = "error" if state == "FAILED" else "content_policy"
            body["error"] = {"code": code, "message": f"the task ended as {state.lower()}"}
        return body

    def _output(self, exchange: Exchange, task: Task) -> list[dict[str, str]]:
        if "immediate_base64" not in self.service.settings.variants:
            return [{"url": url} for url in self.service.urls(task, exchange.files_url)]
        numbers = range(1, self.service.settings.outputs + 1)
        files = [self.dispatcher.pictures.png(task, number) for number in numbers]
        return [{"base64": base64.b64encode(file).decode()} for file in files]

    def _failure(self, status: int, code: str, message: str) -> Answer:
        return self.responses.failure(status, code, message)
