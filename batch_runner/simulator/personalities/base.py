"""What every personality does: answer requests by faults or by work, check keys, find tasks."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar, cast

from aiohttp import web

from batch_runner.simulator.dispatcher import Dispatcher
from batch_runner.simulator.exchange import Exchange
from batch_runner.simulator.responses import Answer, Responses
from batch_runner.simulator.service import Service
from batch_runner.simulator.tasks import Task

Work = Callable[[Exchange], Answer]
ResponsesT = TypeVar("ResponsesT", bound=Responses)


class Personality(Generic[ResponsesT]):
    """The routes of one service.

    Attributes:
        responses_class: Its answers.
        key_prefix: How a key begins, if any such key is accepted.
        needs_key: A key is needed even if the settings name none.
        workers: Number of tasks that run at the same time; None for the number in the settings.
        forgets: A restart deletes tasks, but not their files.
    """

    responses_class: ClassVar[type[Responses]]
    key_prefix: ClassVar[str] = ""
    needs_key: ClassVar[bool] = True
    key_in_body: ClassVar[bool] = False
    workers: ClassVar[int | None] = None
    forgets: ClassVar[bool] = False

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher

    @property
    def service(self) -> Service:
        return self.dispatcher.service

    @property
    def responses(self) -> ResponsesT:
        """Return the instance of `responses_class`."""
        return cast(ResponsesT, self.dispatcher.responses)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the API."""
        raise NotImplementedError

    def other_routes(self) -> list[web.RouteDef]:
        """Return routes that are served on another port, so from another origin."""
        return []

    def key(self, request: web.Request, content: Any) -> str | None:
        """Return the key of a request whose body is the JSON value `content`; None without one."""
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        return key if scheme.lower() == "bearer" else None

    async def handle(
        self,
        calls: tuple[str, ...],
        request: web.Request,
        work: Work,
        *,
        text: str = "",
        subject: str = "",
        content: Any = None,
        open_to_all: bool = False,
    ) -> web.StreamResponse:
        """Respond to a request that is each of `calls`, by a fault or else by `work`.

        `text` is what a rule's `match` is searched in, `subject` what its `each` counts by, and
        `content` the JSON value of the body.
        """
        key = self.key(request, content)
        self._record_key_in(request.query_string, "query", request)
        if calls[0] == "submit" and not self.key_in_body:
            self._record_key_in(text, "body", request)

        def work_with_key(exchange: Exchange) -> Answer:
            without = open_to_all and key is None
            return (None if without else self.key_error(key)) or work(exchange)

        return await self.dispatcher.handle(
            calls, request, work_with_key, text=text, subject=subject, key=key or ""
        )

    async def handle_for_task(
        self,
        calls: tuple[str, ...],
        request: web.Request,
        task_id: str,
        work: Callable[[Exchange, Task], Answer],
        *,
        content: Any = None,
        open_to_all: bool = False,
    ) -> web.StreamResponse:
        """Respond to a request about a task, by a fault, by `work`, or that there is none."""

        def with_task(exchange: Exchange) -> Answer:
            exchange.task = task = self.service.find(task_id)
            if task is None:
                return self.unknown_task(exchange)
            return work(exchange, task)

        text = self.dispatcher.text_of(task_id)
        return await self.handle(
            calls,
            request,
            with_task,
            text=text,
            subject=task_id,
            content=content,
            open_to_all=open_to_all,
        )

    def unknown_task(self, exchange: Exchange) -> Answer:
        """Return the answer about a task that does not exist."""
        return self.responses.unknown_task()

    def status_calls(self, task_id: str) -> tuple[str, ...]:
        """Return what a request for the status is if its answer holds the result, too."""
        task = self.service.find(task_id)
        done = task is not None and self.service.state(task) == "COMPLETED"
        return ("status", "result") if done else ("status",)

    def key_error(self, key: str | None) -> Answer | None:
        """Return the answer to a request with this key, None if it is accepted."""
        valid = bool(key and key.startswith(self.key_prefix))
        if not valid:
            needed = self.needs_key or self.service.settings.keys
            return self.responses.wrong_key(missing=True) if needed else None
        if self.service.accepts(key or ""):
            return None
        return self.responses.wrong_key(missing=False)

    def limit_error(self) -> Answer | None:
        """Return the answer to a submission above the rate limit, None below it."""
        wait = self.service.wait_for_limit()
        if not wait:
            return None
        answer = self.responses.busy()
        answer.headers["Retry-After"] = str(max(1, round(wait + 0.5)))
        return answer

    def _record_key_in(self, text: str, where: str, request: web.Request) -> None:
        if any(key in text for key in self.service.keys_seen):
            self.dispatcher.record_leak("api", request.path, where)


async def read_json(request: web.Request) -> tuple[Any, str]:
    """Return the JSON value of a body, None if it is none, and the body's text."""
    text = (await request.read()).decode(errors="replace")
    try:
        return json.loads(text), text
    except ValueError:
        return None, text
