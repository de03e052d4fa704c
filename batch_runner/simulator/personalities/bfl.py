"""Black Forest Labs, by its public documentation: the create answer says where to poll.

The URL for polling names a region: the same id is unknown at the address that a client might guess.
With the variant `other_host` it is on another origin. A content that is not allowed is accepted,
and rejected by the task's status. URLs of results live ten minutes.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from aiohttp import web

from batch_runner.simulator.exchange import Exchange
from batch_runner.simulator.personalities import base
from batch_runner.simulator.responses import Answer, Path, Rejection, Responses
from batch_runner.simulator.tasks import Task

REGION = "us1"
URL_LIFE = 600.0  # seconds


class BflResponses(Responses):
    """The answers of FastAPI, which the service is written in."""

    places: ClassVar[Mapping[str, Path]] = {
        "task_id": ("id",),
        "state": ("status",),
        "progress": ("progress",),
    }
    words: ClassVar[Mapping[str, str]] = {
        "PENDING": "Pending",
        "RUNNING": "Pending",
        "COMPLETED": "Ready",
        "FAILED": "Error",
        "CANCELED": "Error",
        "MODERATED": "Request Moderated",
        "WITHHELD": "Content Moderated",
    }
    moderates_tasks: ClassVar[bool] = True

    def error(self, status: int, message: str, *, code: int | None = None) -> Answer:
        """Return an error response; the service has no codes."""
        return Answer(status, {"detail": message})

    def wrong_key(self, *, missing: bool) -> Answer:
        answer = self.error(403, "Not authenticated")
        answer.rejection = Rejection.KEY
        return answer

    def no_balance(self, status: int | None = None, code: int | None = None) -> Answer:
        return self.error(
            status or 402, "Insufficient credits. Please add credits to your account."
        )

    def busy(self, status: int | None = None) -> Answer:
        return self.error(status or 429, "Rate limit exceeded: too many active tasks")

    def unknown_task(self) -> Answer:
        return Answer(404, self.report("", "Task not found"))

    def submitted(self, task_id: str) -> Answer:
        return Answer(body={"id": task_id})

    def report(
        self, task_id: str, word: str, progress: float | None = None, result: Any = None
    ) -> dict[str, Any]:
        """Return the body of a status response."""
        shown = {"id": task_id, "status": word, "result": result, "progress": progress}
        return shown | {"details": None, "preview": None}

    def change_urls(self, answer: Answer, change: Callable[[list[Any]], list[Any]]) -> None:
        result = answer.body.get("result") if isinstance(answer.body, dict) else None
        if result:
            result["sample"] = next(iter(change([result["sample"]])), None)


class Personality(base.Personality[BflResponses]):
    """Submission to a model, and polling at the URL of the answer."""

    responses_class = BflResponses

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/{model:flux[\\w.-]*}", self.submit),
            web.get("/v1/get_result", self.wrong_region),
            *self.other_routes(),
        ]

    def other_routes(self) -> list[web.RouteDef]:
        return [web.get(f"/{REGION}/v1/get_result", self.status)]

    def key(self, request: web.Request, content: Any) -> str | None:
        return request.headers.get("x-key")

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """Handle a submission: a prompt and the other fields of the model."""
        content, text = await base.read_json(request)

        def work(exchange: Exchange) -> Answer:
            if limit := self.limit_error():
                return limit
            if not isinstance(content, dict) or not isinstance(content.get("prompt"), str):
                missing = {"type": "missing", "loc": ["body", "prompt"], "msg": "Field required"}
                return Answer(422, {"detail": [missing]})
            exchange.task = task = self.service.submit(
                exchange,
                task_id=str(uuid.uuid4()),
                workflow=request.match_info["model"],
                params=content,
                body=text,
            )
            answer = self.responses.submitted(task.id)
            answer.body["polling_url"] = self._polling_url(exchange, task)
            return answer

        return await self.handle(("submit",), request, work, text=text, subject=text)

    def _polling_url(self, exchange: Exchange, task: Task) -> str:
        other = "other_host" in self.service.settings.variants
        origin = exchange.other_url if other else str(exchange.request.url.origin())
        return f"{origin}/{REGION}/v1/get_result?id={task.id}"

    async def wrong_region(self, request: web.Request) -> web.StreamResponse:
        """Respond that the task is unknown: it is in a region."""
        work = lambda exchange: self.unknown_task(exchange)  # noqa: E731  one expression
        return await self.handle(("status",), request, work, subject=request.query.get("id", ""))

    async def status(self, request: web.Request) -> web.StreamResponse:
        """Handle a poll, whose answer holds the result."""

        def work(exchange: Exchange, task: Task) -> Answer:
            self.service.count("polls", task)
            state = self.service.state(task)
            percent = self.service.progress(task, state)
            progress = float(percent) / 100 if state == "RUNNING" and percent is not None else None
            result = None
            if state == "COMPLETED":
                self.service.count("results", task)
                url = self.service.urls(task, exchange.files_url, URL_LIFE)[0]
                result = {"sample": url, "prompt": task.prompt, "seed": task.n}
            word = self.responses.word(state)
            return Answer(body=self.responses.report(task.id, word, progress, result))

        task_id = request.query.get("id", "")
        elsewhere = request.url.port == self.dispatcher.other_port  # where a key may not belong
        return await self.handle_for_task(
            self.status_calls(task_id), request, task_id, work, open_to_all=elsewhere
        )

    def unknown_task(self, exchange: Exchange) -> Answer:
        answer = self.responses.unknown_task()
        answer.body["id"] = exchange.request.query.get("id", "")
        return answer
